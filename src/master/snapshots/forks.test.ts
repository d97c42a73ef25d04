import assert from 'node:assert/strict'
import { beforeEach, test } from 'vitest'
import type { z } from 'zod'
import type { RegisterSchema } from '../../api/schemas.ts'
import { type FailureCode, isFailure, ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import { appName, nodeName, type SnapshotId, snapshotId, type VolumeId, volumeId } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { anApp, aTask } from '../../testing/fake-app.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { silentLog } from '../../testing/silent-log.ts'
import type { Records } from '../records.ts'
import { volumeErasures } from '../volume-erasures.ts'
import { type Volumes, volumeRecords } from '../volumes.ts'
import { type Forks, volumeForks } from './forks.ts'

const BLOG = anApp(aTask({ env: { SECRET: 'kept' }, pinned: { id: 'sha256:1' } }))
const copy = { name: appName('copy'), by: 'anna' }
const signal = new AbortController().signal

let volumes: Volumes
let forks: Forks
let source: App
let registered: z.output<typeof RegisterSchema>[]
let erased: VolumeId[]
/** The snapshots that there are, with the volumes that were made of them. */
let snapshots: Map<SnapshotId, VolumeId[]>
let failure: { call?: ShadowError; register?: ShadowError; take?: ShadowError }

beforeEach(() => {
  source = BLOG
  registered = []
  erased = []
  snapshots = new Map()
  failure = {}
  const clock = new HandClock()
  const records = { read: async () => ({ state: 'none' }) } as unknown as Records
  volumes = volumeRecords({ storage: memoryStorage(), records, clock })
  const node = { name: nodeName('n1'), state: 'healthy', volumeDrivers: ['loop'] }
  const callNode = async (_: string, { params, body }: { params: { volume: VolumeId }; body: Body }) => {
    if (failure.call !== undefined) throw failure.call
    snapshots.get(body.from.id)?.push(params.volume)
    await volumes.finishMove(params.volume, node.name, body.move)
  }
  forks = volumeForks({
    apps: {
      find: async () => ({ app: source, etag: '1' }),
      register: async definition => {
        if (failure.register !== undefined) throw failure.register
        registered.push(definition)
        return { app: BLOG, etag: '1' }
      },
    },
    secrets: { values: async () => ({ KEY: 'kept too' }) },
    records,
    nodes: { get: async () => node } as never,
    volumes,
    erasures: volumeErasures({
      records,
      volumes,
      relay: { eraseVolume: async (id: VolumeId) => void erased.push(id) },
    }),
    snapshots: {
      take: async () => {
        if (failure.take !== undefined) throw failure.take
        const taken = { id: snapshotId('now'), volume: volumeId('blog'), node: node.name, state: 'ready' }
        snapshots.set(taken.id, [])
        return taken
      },
      usable: async (volume: VolumeId, id: SnapshotId) => {
        snapshots.set(id, [])
        return { id, volume, node: node.name, state: 'ready' }
      },
      remove: async (_: VolumeId, id: SnapshotId) => void snapshots.delete(id),
    } as never,
    relay: {
      nodeClient: async () => ({ call: callNode }),
    } as never,
    log: silentLog,
  })
})
type Body = { move: string; from: { id: SnapshotId } }

const fails = (code: FailureCode, work: Promise<unknown>) => assert.rejects(work, error => isFailure(error, code))
const noVolume = () => fails('not-found', volumes.get(volumeId('copy')))

test('a fork has all of the definition but the domains, and its volume is there before it is registered', async () => {
  await forks.app(appName('blog'), copy, signal)
  const [made] = registered
  assert.deepEqual(made?.secrets, { KEY: 'kept too' })
  assert.deepEqual([made?.name, made?.env, made?.domains], ['copy', { SECRET: 'kept' }, undefined])
  const { lease, app } = await volumes.get(volumeId('copy'))
  assert.deepEqual([lease?.node, app], ['n1', null])
  assert.equal(snapshots.size, 0, 'the snapshot of now was for the fork alone')
})

test('a fork of a snapshot leaves the snapshot', async () => {
  await forks.app(appName('blog'), { ...copy, snapshot: snapshotId('monday') }, signal)
  assert.deepEqual([...snapshots], [['monday', ['copy']]])
})

test('an app without data, or without a volume, is forked without data', async () => {
  failure.take = new ShadowError('not-found', 'blog has no data yet')
  await forks.app(appName('blog'), copy, signal)
  await noVolume()
  const { volume: _, ...task } = BLOG.task
  source = { ...BLOG, task }
  await forks.app(appName('blog'), copy, signal)
  assert.equal(registered.length, 2)
  await fails('not-found', forks.app(appName('blog'), { ...copy, snapshot: snapshotId('monday') }, signal))
})

test('a name that an app or a volume has is refused before anything is copied', async () => {
  await forks.app(appName('blog'), copy, signal)
  await fails('already-exists', forks.app(appName('blog'), copy, signal))
  await fails('already-exists', forks.volume(volumeId('blog'), copy, signal))
  assert.equal(registered.length, 1)
})

test('of a fork that fails at its node, or cannot be registered, nothing is left', async () => {
  failure.call = new ShadowError('disk-full', 'no space left')
  await fails('disk-full', forks.app(appName('blog'), copy, signal))
  await noVolume()
  assert.equal(snapshots.size, 0)
  failure = { register: new ShadowError('domain-taken', 'another app has it') }
  await fails('domain-taken', forks.app(appName('blog'), copy, signal))
  await noVolume()
  assert.deepEqual(erased, ['copy'])
  failure = {}
  await forks.app(appName('blog'), copy, signal)
})

test('a volume is forked alone', async () => {
  const made = await forks.volume(volumeId('blog'), copy, signal)
  assert.deepEqual([made.id, made.app, made.size], ['copy', null, '32MiB'])
  failure.take = new ShadowError('not-found', 'blog has no data yet')
  await fails('not-found', forks.volume(volumeId('blog'), { ...copy, name: appName('other') }, signal))
})
