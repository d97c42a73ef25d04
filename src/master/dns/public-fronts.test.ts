import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'
import { type PublicFronts, publicFronts } from './public-fronts.ts'

let clock: HandClock
let storage: Storage
let former: string[]
let one: PublicFronts
const master = () => publicFronts({ storage, revoked: async () => former, clock })
beforeEach(() => {
  clock = new HandClock()
  storage = memoryStorage()
  former = []
  one = master()
})

const says = (name: string, isLeaving = false, at = one) =>
  at.announce(name, { addresses: ['203.0.113.1'], isNameServer: true, isLeaving, member: `id-of-${name}` })
const alive = async (at = one) => (await at.all()).map(({ name, isAlive }) => [name, isAlive])

test('a front is alive at all masters as long as it announces itself at any', async () => {
  const other = master()
  await says('f1')
  assert.deepEqual([await alive(), await alive(other)], [[['f1', true]], [['f1', true]]])
  for (let round = 0; round < 4; round += 1) {
    await clock.advance(5_000)
    await says('f1')
    await alive(other)
  }
  assert.deepEqual(await alive(other), [['f1', true]])
  await clock.advance(14_999)
  assert.deepEqual([await alive(), await alive(other)], [[['f1', true]], [['f1', true]]])
  await clock.advance(1_001)
  assert.deepEqual([await alive(), await alive(other)], [[['f1', false]], [['f1', false]]])
  await says('f1')
  await clock.advance(1_000)
  assert.deepEqual([await alive(), await alive(other)], [[['f1', true]], [['f1', true]]])
})

test('a wall clock that is set says nothing about a front', async () => {
  await says('f1')
  await alive()
  clock.setWall(3_600_000)
  await clock.advance(1_000)
  assert.deepEqual(await alive(), [['f1', true]])
})

test('to a master that starts, a front that was lost long ago is lost, and one that was just heard is alive', async () => {
  await says('f1')
  await clock.advance(76_000)
  await says('f2')
  await clock.advance(20_000)
  assert.deepEqual(await alive(master()), [
    ['f1', false],
    ['f2', true],
  ])
})

test('a front that leaves is not alive at once, and alive again when it is back', async () => {
  await says('f1')
  await alive()
  await says('f1', true)
  assert.deepEqual(await alive(), [['f1', false]])
  await says('f1')
  assert.deepEqual(await alive(), [['f1', true]])
})

describe('what is not known any more', () => {
  test('a front that has been silent for a day', async () => {
    await says('f1')
    await clock.advance(86_400_000)
    assert.deepEqual(await alive(), [['f1', false]])
    await clock.advance(2_000)
    assert.deepEqual(await alive(), [])
    assert.deepEqual(await storage.list('public-fronts/'), [])
  })

  test('a front that was removed from the cluster', async () => {
    await says('f1')
    await says('f2')
    former.push('id-of-f1')
    assert.deepEqual(await alive(), [['f2', true]])
  })
})

test('the name of a machine may have capital letters', async () => {
  await says('-My.Server')
  assert.deepEqual(await alive(), [['-My.Server', true]])
})

test('fronts that ask at a time cost one reading of the store', async () => {
  let lists = 0
  const list: Storage['list'] = (...given) => {
    lists += 1
    return storage.list(...given)
  }
  one = publicFronts({ storage: { ...storage, list }, revoked: async () => former, clock })
  await says('f1')
  await Promise.all([alive(), alive(), alive()])
  await says('f1')
  await alive()
  assert.equal(lists, 1)
})
