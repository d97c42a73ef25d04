import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { type FailureCode, isFailure, ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { appName, nodeName, volumeId } from '../model/names.ts'
import { size } from '../model/quantities.ts'
import { HandClock } from '../testing/clock.ts'
import type { ControlledNode } from './nodes.ts'
import { directory } from './storage/directory.ts'
import { volumeImports } from './volume-imports.ts'
import { type Volumes, volumeRecords } from './volumes.ts'

const ID = volumeId('blog')
const N1 = nodeName('n1')
const blog = {
  name: appName('blog'),
  createdAt: '2026-01-01T00:00:00.000Z',
  task: { volume: { id: ID, size: '1GiB', path: '/data' } },
} as unknown as App

let path: string
let volumes: Volumes
let isLive: boolean
let target: Partial<ControlledNode>
/** What the node does. */
let imports: (move: string) => Promise<void>
let asked: string[]
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-imports-'))
  volumes = volumeRecords({ storage: await directory({ path }), records: records as never, clock: new HandClock() })
  isLive = false
  target = { name: N1, state: 'healthy', volumeDrivers: ['loop', 'pool'] }
  imports = move => volumes.finishMove(ID, N1, move)
  asked = []
})
afterEach(() => rm(path, { recursive: true, force: true }))

const records = { read: async () => (isLive ? { state: 'live', app: blog, etag: '1' } : { state: 'absent' }) }
const bring = (driver: 'loop' | 'pool' = 'loop') =>
  volumeImports({
    nodes: { get: async () => target as ControlledNode },
    records: records as never,
    volumes,
    relay: {
      nodeForVolume: async () => target as ControlledNode,
      importVolume: async (_, __, { move }) => {
        asked.push(move)
        await imports(move)
      },
    },
  })(ID, { volume: size('1GiB'), driver, size: 2 ** 30, bytes: 4096 }, undefined as never, new AbortController().signal)
const rejectsWith = (code: FailureCode, action: Promise<unknown>) =>
  assert.rejects(action, error => isFailure(error, code))
const isNotThere = () => rejectsWith('not-found', volumes.get(ID))

test('an import makes a volume that no app has, where its bytes are; the app that is registered then has it', async () => {
  await bring()
  const { app, lease, size: made } = await volumes.get(ID)
  assert.deepEqual([app, lease, made], [null, { node: N1, epoch: 1, until: null }, '1GiB'])
  assert.deepEqual(await volumes.placesOf(ID), [N1])
  isLive = true
  await volumes.adopt(blog)
  assert.equal((await volumes.get(ID)).app, 'blog')
  assert.equal((await volumes.lease(ID, N1)).lease?.epoch, 1)
  await rejectsWith('volume-elsewhere', volumes.lease(ID, nodeName('n2')))
})

test('a volume of a pool is on no node afterwards', async () => {
  await bring('pool')
  const { lease, driver } = await volumes.get(ID)
  assert.deepEqual([lease, driver], [null, 'pool'])
  isLive = true
  await rejectsWith('bad-input', volumes.mustFit(ID, { size: size('1GiB') }, undefined)) // it has data of its driver
})

test('an import that fails makes no volume, can be tried again, and cannot be finished later', async () => {
  imports = () => Promise.reject(new ShadowError('node-unreachable', 'killed'))
  await rejectsWith('node-unreachable', bring())
  await isNotThere()
  await rejectsWith('changed', volumes.finishMove(ID, N1, asked[0] ?? ''))
  await isNotThere()
  imports = move => volumes.finishMove(ID, N1, move)
  await bring()
  assert.equal((await volumes.get(ID)).lease?.node, N1)
})

test('two imports of one name: the later one wins, and the earlier one makes nothing', async () => {
  imports = async move => {
    imports = later => volumes.finishMove(ID, N1, later)
    await bring()
    await volumes.finishMove(ID, N1, move)
  }
  await bring().catch(() => undefined)
  assert.equal((await volumes.get(ID)).lease?.epoch, 1)
})

test('an app that gets the name meanwhile has an empty volume, and the import is called off', async () => {
  imports = async move => {
    isLive = true
    await volumes.adopt(blog)
    await volumes.finishMove(ID, N1, move)
  }
  await rejectsWith('changed', bring())
  assert.deepEqual([(await volumes.get(ID)).app, (await volumes.get(ID)).lease], ['blog', null])
})

test('what is there is not replaced, and a node that cannot take it is not asked', async () => {
  await bring()
  await rejectsWith('already-exists', bring())
  isLive = true
  await rejectsWith('already-exists', bring())
  isLive = false
  await volumes.beginErasure(ID, '')
  await volumes.forget(ID, '')
  target = { name: N1, state: 'healthy', volumeDrivers: ['loop'] }
  await rejectsWith('no-node', bring('pool'))
  target = { name: N1, state: 'unhealthy' }
  await rejectsWith('node-unreachable', bring())
  assert.equal(asked.length, 1)
  await isNotThere()
})
