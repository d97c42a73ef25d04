import assert from 'node:assert/strict'
import { expect, test } from 'vitest'
import { Singleflight } from './singleflight.ts'

test('all who want it meanwhile share one deed, and the next one begins another', async () => {
  const flight = new Singleflight()
  let begun = 0
  const gate = Promise.withResolvers<void>()
  const deed = (): Promise<void> => {
    begun++
    return gate.promise
  }
  const all = [flight.join(deed), flight.join(deed)]
  assert.deepEqual([begun, flight.isUnderWay], [1, true])
  gate.resolve()
  await Promise.all(all)
  assert.equal(flight.isUnderWay, false)
  await flight.join(deed)
  assert.equal(begun, 2)
})

test('a failure is told to all who share it, and forgotten', async () => {
  const flight = new Singleflight()
  const fails = async (): Promise<void> => {
    throw new Error('no')
  }
  const all = [flight.join(fails), flight.join(fails)]
  for (const one of all) await expect(one).rejects.toThrow('no')
  await flight.join(async () => undefined)
})

test('a deed that gives up early lets the next begin at once, while it goes on behind', async () => {
  const flight = new Singleflight()
  const behind = Promise.withResolvers<void>()
  const first = flight.join(fail => {
    fail(new Error('early'))
    return behind.promise
  })
  await expect(first).rejects.toThrow('early')
  const gate = Promise.withResolvers<void>()
  const second = flight.join(() => gate.promise)
  behind.resolve()
  await behind.promise
  assert.equal(flight.isUnderWay, true, 'the end of the first is not that of the second')
  gate.resolve()
  await second
})
