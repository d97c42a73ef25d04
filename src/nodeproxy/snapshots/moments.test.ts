import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, test } from 'vitest'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { exec } from '../../lib/exec.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import { appName, snapshotId, volumeId } from '../../model/names.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { hold, InstanceEnvironment, never, release, settled } from '../../testing/instance-environment.ts'
import { silentLog } from '../../testing/silent-log.ts'
import type { Instance } from '../instance.ts'
import { BlockDrivers } from '../volumes/block-drivers.ts'
import { imageSnapshots } from '../volumes/image-snapshots.ts'
import { BusyVolumes } from './busy-volumes.ts'
import { Moments } from './moments.ts'
import { VolumeSnapshots } from './volume-snapshots.ts'
import { VolumeViews } from './volume-views.ts'

const volume = volumeId('blog')
const what = { app: appName('blog'), volume }
const monday = { ...what, id: snapshotId('monday') }

let root: string
let world: InstanceEnvironment
let instance: Instance
let moments: Moments
let snapshots: VolumeSnapshots
let views: VolumeViews
let journal: string[]

beforeEach(() => start())

/** A node with one app, whose image is a file. */
async function start({ excludes = true } = {}): Promise<void> {
  root = temporaryFolder('shadow-test-moments-')
  world = new InstanceEnvironment({ excludes })
  instance = world.anInstance()
  await mkdir(join(root, 'blog'))
  await writeFile(join(root, 'blog/image.ext4'), 'first')
  const fake = world.volumes
  const driver = {
    excludes,
    file: () => join(root, 'blog/image.ext4'),
    snapshots: imageSnapshots({ root: async () => root, turns: new KeyedMutex(), exec }),
    attach: () => fake.attach(volume),
    detach: () => fake.detach(volume),
  }
  fake.made.set(volume, 5)
  const volumes = new BlockDrivers({ loop: driver as never })
  const { leases } = world
  moments = new Moments({ volumes, leases, filesystem: fake, instanceOf: async () => instance })
  const parts = { moments, busy: new BusyVolumes(), clock: world.clock, log: silentLog }
  journal = []
  snapshots = new VolumeSnapshots({ ...parts, journal: (_, line) => void journal.push(line) })
  views = new VolumeViews({ ...parts, volumes, folder: join(root, '.views') })
}
const image = () => join(root, 'blog/image.ext4')
const taken = (name: string) => readFile(join(root, `.snapshots/blog/${name}.ext4`), 'utf8')
const left = () => readdir(join(root, '.snapshots/blog'))

test('an app that is asleep is not woken for its snapshot', async () => {
  const { consistent, frozenMs } = await snapshots.take(monday, never)
  assert.deepEqual([consistent, frozenMs, instance.phase], ['asleep', 0, 'asleep'])
  assert.equal(await taken('monday'), 'first')
  assert.equal(world.runtime.containers.size, 0)
  assert.match(journal.join(), /snapshot monday of the volume: the app was asleep/)
})

test('an app that is awake serves on, and its volume is frozen for the moment alone', async () => {
  const held = await hold(instance)
  const frozenDuring: boolean[] = []
  const { frozen } = world.volumes
  world.volumes.frozen = (id, ms, task) =>
    frozen.call(world.volumes, id, ms, (async (until: AbortSignal) => {
      frozenDuring.push(world.volumes.frozenNow.has(volume))
      return task(until)
    }) as never) as never
  const { consistent } = await snapshots.take(monday, never)
  assert.deepEqual([consistent, instance.phase, frozenDuring], ['frozen', 'awake', [true]])
  assert.equal(world.volumes.frozenNow.size, 0)
  release(held)
  world.volumes.frozen = frozen
})

test('a request that comes at the moment of a snapshot waits, and wakes the app then', async () => {
  let woken: Promise<unknown> | undefined
  await moments.at(
    what,
    async () => {
      woken = hold(instance).then(release)
      await settled()
      assert.equal(instance.phase, 'asleep')
    },
    never,
  )
  await woken
  assert.equal(instance.phase, 'awake')
})

test('the moment is over when the time to be frozen is, and there is no snapshot then', async () => {
  const held = await hold(instance)
  world.volumes.frozenSignal = AbortSignal.abort(new ShadowError('freeze-too-long', 'too long'))
  await assert.rejects(snapshots.take(monday, never), error => isFailure(error, 'freeze-too-long'))
  assert.deepEqual(await left(), [])
  release(held)
})

test('an app is not frozen at all where the rest of the copy takes too long', async () => {
  const held = await hold(instance)
  const copy = (): Promise<void> => assert.fail('it was copied')
  await assert.rejects(
    moments.at(what, copy, never, async () => 60_000),
    error => isFailure(error, 'freeze-too-long'),
  )
  assert.ok(!world.volumes.calls.includes('freeze blog'))
  release(held)
})

test('of storage that keeps no second node out, the lease is held meanwhile, and what a dead node has open is replaced', async () => {
  await start({ excludes: false })
  await snapshots.take(monday, never)
  assert.deepEqual(world.leases.calls, ['take blog', 'release blog'])
  assert.deepEqual(world.volumes.calls, ['attach blog', 'detach blog'])
  world.leases.failure = new ShadowError('volume-elsewhere', 'the node n2 has it')
  const other = snapshots.take({ ...monday, id: snapshotId('tuesday') }, never)
  await assert.rejects(other, error => isFailure(error, 'volume-elsewhere'))
  assert.deepEqual(await left(), ['monday.ext4'])
})

test('a lease that is lost at the moment of a snapshot ends it', async () => {
  await start({ excludes: false })
  const cut = moments.at(
    what,
    async until => {
      world.leases.lose(volume)
      until.throwIfAborted()
    },
    never,
  )
  await assert.rejects(cut, error => isFailure(error, 'volume-elsewhere'))
})

test('two things at once with one volume are refused', async () => {
  const both = await Promise.allSettled([
    snapshots.take(monday, never),
    snapshots.take({ ...monday, id: snapshotId('tuesday') }, never),
  ])
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  assert.deepEqual(await left(), ['monday.ext4'])
})

test('an app without data has no snapshot, and no lease is taken for it', async () => {
  root = join(root, 'elsewhere')
  await assert.rejects(
    snapshots.take(monday, never),
    error => isFailure(error, 'not-found') && /no data yet/.test(error.message),
  )
  await assert.rejects(views.open(what, never), error => isFailure(error, 'not-found'))
  assert.deepEqual(world.leases.calls, [])
})

test('a view has the bytes of its moment, and leaves nothing', async () => {
  {
    await using view = await views.open(what, never)
    await writeFile(image(), 'later')
    assert.equal(await readFile(view.path, 'utf8'), 'first')
    assert.deepEqual([view.sizeBytes, view.isDevice, view.consistent], [5, false, 'asleep'])
  }
  assert.deepEqual([await left(), await readdir(join(root, '.views'))], [[], []])
})

test('a view that a killed run has left is removed by the next start', async () => {
  const view = await views.open(what, never)
  await views.recover()
  assert.deepEqual([await left(), await readdir(join(root, '.views'))], [[], []])
  await view[Symbol.asyncDispose]()
})

test('of storage without files, a view is a disk that is made for it, and deleted afterwards', async () => {
  const fake = world.volumes
  const disks = new BlockDrivers({
    loop: {
      excludes: true,
      snapshots: fake.snapshots,
      create: (...made: Parameters<typeof fake.create>) => fake.create(...made),
      attach: (id: typeof volume) => fake.attach(id).then(() => image()),
      detach: (id: typeof volume) => fake.detach(id),
      remove: (id: typeof volume) => fake.remove(id),
    } as never,
  })
  const clouds = new Moments({
    volumes: disks,
    leases: world.leases,
    filesystem: fake,
    instanceOf: async () => instance,
  })
  const parts = { moments: clouds, busy: new BusyVolumes(), volumes: disks, clock: world.clock, log: silentLog }
  const cloudViews = new VolumeViews({ ...parts, folder: join(root, '.views') })
  const view = await cloudViews.open(what, never)
  assert.deepEqual([view.isDevice, fake.made.size, fake.devices.size], [true, 2, 1])
  // The same as a killed run leaves it.
  await cloudViews.recover()
  assert.deepEqual([[...fake.made.keys()], fake.devices.size, fake.taken.get(volume)?.size], [['blog'], 0, 0])
  await view[Symbol.asyncDispose]()
})

test('a view that fails leaves nothing', async () => {
  await assert.rejects(views.open(what, AbortSignal.abort(new Error('left'))))
  assert.deepEqual([await left().catch(() => []), await readdir(join(root, '.views'))], [[], []])
})
