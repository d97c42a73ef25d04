import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { noLog } from '../lib/log.ts'
import { instanceId } from '../model/instance-id.ts'
import { appName, volumeId } from '../model/names.ts'
import { size } from '../model/quantities.ts'
import { aTask } from '../testing/fake-app.ts'
import { type IdleInstance, Room } from './room.ts'

const GIB = 2 ** 30
const signal = new AbortController().signal
const id = (name: string) => instanceId(appName(name))
const app = (name: string, memory: string, reserve?: string) => {
  const task = aTask()
  const limits = { ...task.limits, memory: size(memory), ...(reserve !== undefined && { reserve: size(reserve) }) }
  return { ...task, app: appName(name), volume: undefined, limits }
}

function aRoom({ overcommit = 1, available = 23 * GIB, slots = 10 } = {}) {
  const idle: IdleInstance[] = []
  const asleep: string[] = []
  const room: Room = new Room({
    overcommit,
    volumeSlots: slots,
    idle: () => idle,
    log: noLog,
    totalBytes: 23 * GIB,
    availableBytes: async () => available,
  })
  const isIdle = (name: string, idleSince: number, falls = true): void => {
    const makeRoom = async (): Promise<void> => {
      asleep.push(name)
      if (!falls) return // a request has come meanwhile
      idle.splice(
        idle.findIndex(one => one.instance === name),
        1,
      )
      room.leave(instanceId(appName(name)))
    }
    idle.push({ instance: instanceId(appName(name)), idleSince, makeRoom })
  }
  return { room, isIdle, asleep }
}

const refused = (admission: Promise<void>) =>
  assert.rejects(admission, error => isFailure(error, 'no-memory') && error.details.retryAfterMs !== undefined)

describe('the memory of a machine', () => {
  test('of 23 GiB has no room for a second app of 20 GiB that is in use, and the refusal says what is missing', async () => {
    const { room } = aRoom()
    await room.admit(instanceId(appName('a')), app('a', '20GiB'), signal)
    await assert.rejects(room.admit(instanceId(appName('b')), app('b', '20GiB'), signal), error => {
      assert.ok(isFailure(error, 'no-memory'))
      assert.match(error.message, /b reserves 20GiB .*17GiB of that are missing: this machine has 23GiB/)
      return true
    })
    assert.equal(room.reservedBytes, 20 * GIB)
  })

  test('may be reserved as often as the setting says: of three apps of 20 GiB the third is refused', async () => {
    const { room } = aRoom({ overcommit: 2 })
    await room.admit(instanceId(appName('a')), app('a', '20GiB'), signal)
    await room.admit(instanceId(appName('b')), app('b', '20GiB'), signal)
    await refused(room.admit(instanceId(appName('c')), app('c', '20GiB'), signal))
  })

  test('is made free by the app that is idle for longest, and by no more of them than need be', async () => {
    const { room, isIdle, asleep } = aRoom()
    for (const name of ['a', 'b', 'c']) await room.admit(instanceId(appName(name)), app(name, '7GiB'), signal)
    isIdle('b', 200)
    isIdle('c', 100)
    await room.admit(instanceId(appName('d')), app('d', '8GiB'), signal)
    assert.deepEqual(asleep, ['c'])
  })

  test('is not made free by an app that somebody came to meanwhile', async () => {
    const { room, isIdle, asleep } = aRoom()
    await room.admit(instanceId(appName('a')), app('a', '20GiB'), signal)
    isIdle('a', 1, false)
    await refused(room.admit(instanceId(appName('b')), app('b', '20GiB'), signal))
    assert.deepEqual(asleep, ['a'])
  })

  test('is reserved as the definition says, apart from the limit', async () => {
    const { room } = aRoom()
    for (const name of ['a', 'b', 'c']) await room.admit(instanceId(appName(name)), app(name, '20GiB', '1GiB'), signal)
    assert.equal(room.reservedBytes, 3 * GIB)
  })

  test('has to be there, whatever was reserved of it', async () => {
    const { room } = aRoom({ available: 2 * GIB })
    await refused(room.admit(instanceId(appName('a')), app('a', '4GiB'), signal))
    await room.admit(instanceId(appName('b')), app('b', '1GiB'), signal)
  })

  test('is counted once for an app that is woken again, and given back when it sleeps', async () => {
    const { room } = aRoom()
    await room.admit(instanceId(appName('a')), app('a', '20GiB'), signal)
    await room.admit(instanceId(appName('a')), app('a', '20GiB'), signal)
    assert.equal(room.reservedBytes, 20 * GIB)
    room.leave(instanceId(appName('a')))
    await room.admit(instanceId(appName('b')), app('b', '20GiB'), signal)
  })
})

describe('a wake that could not fit even if all idle apps slept', () => {
  test('is refused at once, and puts none of them to sleep', async () => {
    const { room, isIdle, asleep } = aRoom()
    for (const name of ['a', 'b']) await room.admit(id(name), app(name, '8GiB'), signal)
    isIdle('a', 1)
    await refused(room.admit(id('c'), app('c', '16GiB'), signal))
    assert.deepEqual(asleep, [])
  })

  test('the same if it is free memory that is missing', async () => {
    const { room, isIdle, asleep } = aRoom({ overcommit: 4, available: 1 * GIB })
    await room.admit(id('a'), app('a', '1GiB'), signal)
    isIdle('a', 1)
    await refused(room.admit(id('b'), app('b', '16GiB'), signal))
    assert.deepEqual(asleep, [])
  })
})

describe('while one wake makes room, another', () => {
  test('that cannot fit is refused without waiting for its turn; one that will fit waits', async () => {
    const idle: IdleInstance[] = []
    const left = Promise.withResolvers<void>()
    const room = new Room({
      overcommit: 1,
      volumeSlots: 10,
      idle: () => idle,
      log: noLog,
      totalBytes: 23 * GIB,
      availableBytes: async () => 23 * GIB,
    })
    await room.admit(id('busy'), app('busy', '3GiB'), signal)
    await room.admit(id('idle'), app('idle', '20GiB'), signal)
    const makeRoom = async (): Promise<void> => {
      idle.length = 0 // the app is stopping and no longer idle
      await left.promise
      room.leave(id('idle'))
    }
    idle.push({ instance: id('idle'), idleSince: 1, makeRoom })
    const first = room.admit(id('a'), app('a', '10GiB'), signal)
    await new Promise(setImmediate)
    await refused(room.admit(id('b'), app('b', '21GiB'), signal))
    const second = room.admit(id('c'), app('c', '10GiB'), signal)
    left.resolve()
    await Promise.all([first, second])
    assert.equal(room.reservedBytes, 23 * GIB)
  })
})

describe('apps whose memory is in swap', () => {
  test('count as what is left of it, and make room after those that have more to give', async () => {
    const { room, isIdle, asleep } = aRoom()
    for (const name of ['a', 'b']) await room.admit(id(name), app(name, '8GiB'), signal)
    room.shrink(id('a'), 1 * GIB)
    assert.equal(room.reservedBytes, 9 * GIB)
    isIdle('a', 1)
    isIdle('b', 2)
    await room.admit(id('c'), app('c', '15GiB'), signal)
    assert.deepEqual(asleep, ['b'])
    await room.admit(id('d'), app('d', '8GiB'), signal)
    assert.deepEqual(asleep, ['b', 'a'])
  })

  test('do not count as memory that could be made available', async () => {
    const { room, isIdle, asleep } = aRoom({ available: 5 * GIB })
    await room.admit(id('a'), app('a', '4GiB'), signal)
    room.shrink(id('a'), 1_000)
    isIdle('a', 1)
    await refused(room.admit(id('b'), app('b', '8GiB'), signal))
    assert.deepEqual(asleep, [])
  })
})

describe('volume slots', () => {
  const withVolume = (name: string) => ({ ...app(name, '1GiB'), volume: aTask().volume })

  test('are taken by awake apps with a volume; the idlest of them makes room', async () => {
    const { room, isIdle, asleep } = aRoom({ slots: 2 })
    for (const name of ['a', 'b']) await room.admit(id(name), withVolume(name), signal)
    await room.admit(id('stateless'), app('stateless', '1GiB'), signal)
    isIdle('stateless', 1)
    isIdle('a', 3)
    isIdle('b', 2)
    await room.admit(id('c'), withVolume('c'), signal)
    assert.deepEqual(asleep, ['b'])
  })

  test('that are all in use refuse the wake, and the refusal names the setting', async () => {
    const { room } = aRoom({ slots: 1 })
    await room.admit(id('a'), withVolume('a'), signal)
    await assert.rejects(room.admit(id('b'), withVolume('b'), signal), error => {
      assert.ok(isFailure(error, 'no-volume-slot'))
      assert.match(error.message, /all 1 volume slots/)
      assert.match(error.details.hint ?? '', /SHADOW_VOLUME_SLOTS/)
      return true
    })
    await room.admit(id('stateless'), app('stateless', '1GiB'), signal)
  })

  test('and memory are announced as they are', async () => {
    const { room, isIdle } = aRoom({ overcommit: 2, slots: 3 })
    await room.admit(id('a'), withVolume('a'), signal)
    await room.admit(id('b'), app('b', '2GiB'), signal)
    isIdle('a', 1)
    assert.deepEqual(await room.facts(), {
      room: { reservableBytes: 46 * GIB, freeBytes: 43 * GIB, idleBytes: 1 * GIB },
      volumeSlots: { total: 3, free: 2, idle: 1 },
    })
  })
})

test('before a volume is attached, disks that only stay attached give up the slots beyond the last free one', async () => {
  const asked: unknown[] = []
  const room = new Room({
    overcommit: 1,
    volumeSlots: 3,
    idle: () => [],
    giveUpSlots: async (...slots) => void asked.push(slots),
    log: noLog,
    totalBytes: 23 * GIB,
    availableBytes: async () => 23 * GIB,
  })
  for (const name of ['a', 'b', 'c']) {
    const volume = { id: volumeId(name), size: size('1GiB'), path: '/data' }
    await room.admit(id(name), { ...app(name, '1GiB'), volume }, signal)
  }
  room.leave(id('c'))
  await room.admit(id('d'), app('d', '1GiB'), signal) // it has no volume
  assert.deepEqual(asked, [
    [2, 'a'],
    [1, 'b'],
    [0, 'c'],
  ])
})
