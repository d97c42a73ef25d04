import assert from 'node:assert/strict'
import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'vitest'
import { type InstanceId, instanceId } from '../../model/instance-id.ts'
import { appName, type VolumeId, volumeId } from '../../model/names.ts'
import { size } from '../../model/quantities.ts'
import { HandClock } from '../../testing/clock.ts'
import { aTask } from '../../testing/fake-app.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { silentLog } from '../../testing/silent-log.ts'
import { DiskWatch } from './disk-watch.ts'

const MIB = 2 ** 20
const FLOOR = 10 * MIB
type Running = { readonly id: InstanceId; readonly volume: VolumeId }

/** A disk whose free bytes fall by what apps write into the files of their volumes. */
function aDisk({ free = 20 * MIB } = {}) {
  const folder = temporaryFolder('shadow-disk-')
  const clock = new HandClock()
  const ended: string[] = []
  const running: Running[] = []
  const state = { free, measured: 0, whileMeasuring: async () => {} }
  const file = (app: string): string => join(folder, app)
  const write = async (app: string, mib: number): Promise<void> => {
    await appendFile(file(app), Buffer.alloc(mib * MIB, 1))
    state.free -= mib * MIB
  }
  const watch = new DiskWatch({
    layers: async () => {
      state.measured++
      await state.whileMeasuring()
      return []
    },
    running: () =>
      running.map(one => ({
        ...one,
        task: aTask({ limits: { memory: size('64MiB'), cpus: 1, pids: 64, disk: size('8MiB') } }), // what is small is measured soon
        exceed: async problem => {
          ended.push(problem.message)
          running.splice(running.indexOf(one), 1)
        },
      })),
    image: volume => file(volume),
    data: folder,
    free: async () => state.free,
    floorBytes: FLOOR,
    exec: async () => '',
    clock,
    log: silentLog,
  })
  return {
    state,
    running,
    ended,
    write,
    /** The volume holds so much when the app is woken. */
    async wake(app: string, mib = 0): Promise<void> {
      await writeFile(file(app), Buffer.alloc(mib * MIB, 1))
      running.push({ id: instanceId(appName(app)), volume: volumeId(app) })
      await watch.sweep()
    },
    async sweepAfter(ms: number): Promise<void> {
      await clock.advance(ms)
      await watch.sweep()
    },
  }
}

test('the app that has just written most is ended, and those beside it are not', async () => {
  const disk = aDisk()
  await disk.wake('calm', 4)
  await disk.wake('filler')
  await disk.write('calm', 2)
  await disk.write('filler', 11)
  await disk.sweepAfter(200)
  assert.match(disk.ended.join(), /^filler was stopped: it had just written 11MiB/)
  for (let sweeps = 0; sweeps < 3; sweeps++) await disk.sweepAfter(200)
  assert.deepEqual(disk.ended.length, 1)
})

test('an app that fills the disk while a measurement is under way is ended', async () => {
  const disk = aDisk()
  await disk.wake('filler')
  await disk.write('filler', 7)
  disk.state.whileMeasuring = async () => {
    disk.state.whileMeasuring = async () => {}
    await disk.write('filler', 11)
  }
  await disk.sweepAfter(200)
  assert.deepEqual(disk.ended, [])
  await disk.sweepAfter(200)
  assert.match(disk.ended.join(), /^filler was stopped: it had just written 18MiB/)
})

test('an app that is woken on a node where none runs is measured once it has written enough, and not before', async () => {
  const disk = aDisk()
  await disk.sweepAfter(200)
  await disk.wake('calm', 4)
  await disk.sweepAfter(200)
  assert.equal(disk.state.measured, 0)
  await disk.write('calm', 3)
  await disk.sweepAfter(200)
  assert.equal(disk.state.measured, 1)
})

test('what runs already when the node is started is measured at once', async () => {
  const disk = aDisk()
  await disk.wake('calm')
  assert.equal(disk.state.measured, 1)
})

test('an app that fills the disk slowly, by less than a MiB for each look, is ended', async () => {
  const disk = aDisk({ free: FLOOR - MIB })
  await disk.wake('slow')
  for (let sweeps = 0; sweeps < 5 && disk.ended.length === 0; sweeps++) {
    await disk.write('slow', 0.5)
    await disk.sweepAfter(200)
  }
  assert.match(disk.ended.join(), /^slow was stopped/)
})

test('on a disk that is nearly full, an app that is woken is not ended for what its volume held before', async () => {
  const disk = aDisk({ free: FLOOR - MIB })
  await disk.wake('calm', 1)
  await disk.wake('large', 4)
  await disk.sweepAfter(200)
  await disk.sweepAfter(60_000)
  assert.deepEqual(disk.ended, [])
})

test('what was written minutes ago does not count when the disk is filled by others', async () => {
  const disk = aDisk()
  await disk.wake('calm')
  await disk.write('calm', 3)
  await disk.sweepAfter(200)
  await disk.sweepAfter(61_000)
  await disk.sweepAfter(61_000)
  disk.state.free = FLOOR - MIB
  await disk.sweepAfter(200)
  assert.deepEqual(disk.ended, [])
})
