import assert from 'node:assert/strict'
import { test } from 'vitest'
import { type FailureCode, isFailure } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { snapshotId, volumeId } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { Cloud } from '../../testing/cloud.ts'
import type { Device } from './block-driver.ts'
import { ebs } from './ebs.ts'
import type { Snapshots } from './snapshots.ts'

const GIB = 2 ** 30
const volume = volumeId('blog')
const monday = { volume, id: snapshotId('monday') }
const { signal } = new AbortController()
const format = async (): Promise<void> => undefined

/** A cloud with the volume of one machine. A call of `start` is a run of the driver that remembers nothing. */
async function withVolume({ lagMs = 0 } = {}) {
  const clock = new HandClock()
  const devices = new Set<string>()
  const cloud = new Cloud({
    clock,
    lagMs,
    onAttached: disk => void devices.add(disk),
    onDetached: disk => void devices.delete(disk),
  })
  cloud.start('i-1', 'eu-1a')
  const start = () => {
    const driver = ebs({
      api: cloud,
      cluster: 'test',
      machine: { instance: 'i-1', zone: 'eu-1a' },
      devices: {
        find: async disk => (devices.has(disk) ? (disk as Device) : undefined),
        bytes: async () => 0,
        untilUnused: async () => undefined,
      },
      clock,
      log: noLog,
    })
    return { ...driver, snapshots: driver.snapshots as Snapshots }
  }
  /** Moves the clock until the call has ended. */
  async function ended<T>(call: Promise<T>): Promise<T> {
    let isEnded = false
    const end = (): void => {
      isEnded = true
    }
    call.then(end, end)
    for (let i = 0; i < 20_000 && !isEnded; i++) await clock.advance(250)
    return call
  }
  const fails = (code: FailureCode, call: Promise<unknown>, message = /./): Promise<void> =>
    assert.rejects(ended(call), error => isFailure(error, code) && message.test(error.message))
  const driver = start()
  await ended(driver.create(volume, 2 * GIB, format, signal, { epoch: 1 }))
  await clock.advance(lagMs)
  const count = (call: string): number => cloud.calls.filter(made => made.startsWith(`${call} `)).length
  return { cloud, clock, driver, start, ended, fails, count }
}

test('a snapshot is taken at once, finished later, and carries the tags of cluster, volume and name', async () => {
  const { cloud, clock, driver, ended } = await withVolume()
  const from = clock.now()
  await driver.snapshots.take(monday, signal)
  assert.equal(clock.now(), from)
  assert.equal(cloud.allSnapshots[0]?.state, 'pending')
  await ended(driver.snapshots.finish(monday, signal))
  assert.equal(cloud.allSnapshots[0]?.state, 'completed')
  assert.deepEqual(cloud.allSnapshots[0]?.tags, {
    'shadow:cluster': 'test',
    'shadow:volume': 'blog',
    'shadow:snapshot': 'monday',
    Name: 'shadow test blog monday',
  })
})

test('the app may wake while its snapshot is not finished; a volume is not made from it before', async () => {
  const { driver, ended, fails } = await withVolume()
  await driver.snapshots.take(monday, signal)
  const finished = driver.snapshots.finish(monday, signal)
  const copy = volumeId('copy')
  await fails('cloud-failed', driver.create(copy, GIB, format, signal, { from: monday }), /is not finished yet/)
  await ended(driver.attach(volume, signal))
  await ended(finished)
  await ended(driver.create(copy, GIB, format, signal, { from: monday }))
})

test('a volume that is made from a snapshot is as large, blank nowhere, and never formatted', async () => {
  const { cloud, driver, ended } = await withVolume()
  await driver.snapshots.take(monday, signal)
  await ended(driver.snapshots.finish(monday, signal))
  await ended(driver.detach(volume))
  await ended(driver.remove(volume))
  const from = { from: monday, epoch: 2 }
  cloud.failNext('create', 'no-answer', { isCarriedOut: true })
  await ended(driver.create(volume, GIB, () => assert.fail('it was formatted'), signal, from))
  await ended(driver.attach(volume, signal))
  assert.equal(cloud.all.find(({ attachment }) => attachment !== undefined)?.sizeGiB, 2)
})

test('lists that lag behind: no second snapshot, and none comes back that was removed', async () => {
  const { cloud, clock, driver, ended, count } = await withVolume({ lagMs: 4_000 })
  for (let i = 0; i < 2; i++) await driver.snapshots.take(monday, signal)
  assert.deepEqual(await driver.snapshots.of(volume), ['monday'])
  await ended(driver.snapshots.finish(monday, signal))
  await driver.snapshots.remove(monday)
  assert.deepEqual(await driver.snapshots.of(volume), [])
  await clock.advance(10_000)
  assert.deepEqual([count('snapshot'), count('deleteSnapshot'), cloud.allSnapshots.length], [1, 1, 0])
})

test('an answer that is lost: the driver looks, and gives no second order, whatever run of it', async () => {
  const { cloud, driver, start, ended, count } = await withVolume({ lagMs: 4_000 })
  cloud.failNext('snapshot', 'no-answer', { isCarriedOut: true })
  await ended(driver.snapshots.take(monday, signal))
  await ended(start().snapshots.take(monday, signal))
  assert.equal(count('snapshot'), 1)
  cloud.failNext('deleteSnapshot', 'no-answer', { isCarriedOut: true })
  await ended(driver.snapshots.remove(monday).catch(() => start().snapshots.remove(monday))) // the list lags behind
  assert.equal(cloud.allSnapshots.length, 0)
})

test('an order that never arrived fails, and the next call gives it', async () => {
  const { cloud, driver, ended, fails, count } = await withVolume()
  cloud.failNext('snapshot', 'no-answer')
  await fails(
    'cloud-failed',
    driver.snapshots.take(monday, signal),
    /take the snapshot monday of volume blog: no answer/,
  )
  assert.deepEqual(await driver.snapshots.of(volume), [])
  await ended(driver.snapshots.take(monday, signal))
  assert.deepEqual([count('snapshot'), cloud.allSnapshots.length], [2, 1])
})

test('an API that throttles is not called again by the driver', async () => {
  const { cloud, driver, fails, count } = await withVolume()
  cloud.failNext('snapshot', 'throttled')
  await fails('cloud-failed', driver.snapshots.take(monday, signal), /called too often/)
  assert.equal(count('snapshot'), 1)
})

test('a snapshot that errors is deleted: the one who waits for it is told, and it can be taken again', async () => {
  const { cloud, clock, driver, ended, fails } = await withVolume()
  const disk = cloud.all[0]?.id ?? ''
  cloud.neverSnapshot.add(disk)
  await driver.snapshots.take(monday, signal)
  await fails(
    'cloud-failed',
    driver.snapshots.finish(monday, signal),
    /EC2 could not finish snap-\w+, the snapshot monday/,
  )
  assert.deepEqual([await driver.snapshots.of(volume), cloud.allSnapshots], [[], []])
  await driver.snapshots.take(monday, signal)
  await clock.advance(10_000)
  assert.deepEqual(await driver.snapshots.of(volume), []) // nobody has waited for this one
  cloud.neverSnapshot.delete(disk)
  await driver.snapshots.take(monday, signal)
  await ended(driver.snapshots.finish(monday, signal))
  assert.equal(cloud.allSnapshots.length, 1)
})

test('a caller that has left orders nothing, and one that waits may leave', async () => {
  const { cloud, clock, driver } = await withVolume()
  await assert.rejects(driver.snapshots.take(monday, AbortSignal.abort(new Error('left'))), /left/)
  assert.deepEqual(cloud.allSnapshots, [])
  await driver.snapshots.take(monday, signal)
  const leaves = new AbortController()
  const finished = assert.rejects(driver.snapshots.finish(monday, leaves.signal), /left/)
  leaves.abort(new Error('left'))
  await clock.advance(1_000)
  await finished
})

test('of two snapshots of one name the older one counts, and both are removed; others of the account are never touched', async () => {
  const { cloud, clock, driver, ended } = await withVolume()
  cloud.addForeignSnapshot({ 'shadow:volume': 'blog', 'shadow:snapshot': 'monday' })
  cloud.addForeignSnapshot({ 'shadow:cluster': 'other', 'shadow:volume': 'blog', 'shadow:snapshot': 'monday' })
  await driver.snapshots.take(monday, signal)
  await clock.advance(1_000)
  const tags = { 'shadow:cluster': 'test', 'shadow:volume': 'blog', 'shadow:snapshot': 'monday' }
  await cloud.snapshot(cloud.all[0]?.id ?? '', tags)
  assert.deepEqual(await driver.snapshots.of(volume), ['monday'])
  await ended(driver.snapshots.finish(monday, signal))
  assert.deepEqual(cloud.allSnapshots.map(({ state }) => state).slice(-2), ['completed', 'pending'])
  await driver.snapshots.remove(monday)
  assert.equal(cloud.allSnapshots.length, 2)
  assert.deepEqual(cloud.wrongs, [])
})
