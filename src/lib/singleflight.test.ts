import assert from 'node:assert/strict'
import { expect, test } from 'vitest'
import { Singleflight } from './singleflight.ts'

test('all who want it meanwhile share one task, and the next one begins another', async () => {
  const single = new Singleflight()
  let begun = 0
  const gate = Promise.withResolvers<void>()
  const task = (): Promise<void> => {
    begun++
    return gate.promise
  }
  const all = [single.join(task), single.join(task)]
  assert.deepEqual([begun, single.isUnderWay], [1, true])
  gate.resolve()
  await Promise.all(all)
  assert.equal(single.isUnderWay, false)
  await single.join(task)
  assert.equal(begun, 2)
})

test('a failure is told to all who share it, and forgotten', async () => {
  const single = new Singleflight()
  const fails = async (): Promise<void> => {
    throw new Error('no')
  }
  const all = [single.join(fails), single.join(fails)]
  for (const one of all) await expect(one).rejects.toThrow('no')
  await single.join(async () => undefined)
})

test('a task that gives up early lets the next begin at once, while it goes on behind', async () => {
  const single = new Singleflight()
  const behind = Promise.withResolvers<void>()
  const first = single.join(fail => {
    fail(new Error('early'))
    return behind.promise
  })
  await expect(first).rejects.toThrow('early')
  const gate = Promise.withResolvers<void>()
  const second = single.join(() => gate.promise)
  behind.resolve()
  await behind.promise
  assert.equal(single.isUnderWay, true, 'the end of the first is not that of the second')
  gate.resolve()
  await second
})
