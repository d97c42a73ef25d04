import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { type FailureCode, isFailure, ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { appName, nodeName, volumeId } from '../model/names.ts'
import type { MoveProgress } from '../model/volume-move.ts'
import { HandClock } from '../testing/clock.ts'
import { appMoves } from './app-moves.ts'
import type { ControlledNode } from './nodes.ts'
import { directory } from './storage/directory.ts'
import { type Volumes, volumeRecords } from './volumes.ts'

const OLD = nodeName('old')
const NEW = nodeName('new')
const ID = volumeId('blog')
const appWith = (volume?: object): App =>
  ({ name: appName('blog'), createdAt: '2026-01-01T00:00:00.000Z', task: { volume } }) as unknown as App
const blog = appWith({ id: ID, size: '1GiB', path: '/data' })

let path: string
let volumes: Volumes
let target: Partial<ControlledNode>
/** What the new node does. */
let receives: (move: string) => Promise<void>
/** How far the move is that the old node sends. */
let sending: MoveProgress | null
let asked: string[]
const clock = new HandClock()
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-app-moves-'))
  const records = { read: async () => ({ state: 'live', app: blog, etag: '1' }) } as never
  volumes = volumeRecords({ storage: await directory({ path }), records, clock: new HandClock() })
  await volumes.adopt(blog)
  await volumes.lease(ID, OLD)
  target = { name: NEW, state: 'healthy' }
  receives = move => volumes.finishMove(ID, NEW, move)
  asked = []
  sending = null
})
afterEach(() => rm(path, { recursive: true, force: true }))

const moves = () =>
  appMoves({
    nodes: {
      get: async name => {
        if (name === NEW || name === OLD) return target as ControlledNode
        throw new ShadowError('not-found', `no node is called ${name}`)
      },
    },
    volumes,
    companions: { mustMoveAlone: async () => undefined },
    relay: {
      onDiskBytes: async () => 4096,
      receiveVolume: async (_, __, { move }) => {
        asked.push(move)
        await receives(move)
        return { receivedBytes: 5_000, heldMs: 700 }
      },
      moveFrom: async () => sending,
    },
    clock,
  })
const move = (app = blog, to = NEW) => moves().move(app, to, new AbortController().signal)
const rejectsWith = (code: FailureCode, action: Promise<unknown>) =>
  assert.rejects(action, error => isFailure(error, code))
const holder = async () => (await volumes.leaseOf(ID))?.node

test('a move gives the lease to the new node, with a new epoch', async () => {
  const told = { onDiskBytes: 4096, copiedBytes: 5_000, heldMs: 700 }
  assert.deepEqual(await move(), { app: 'blog', from: OLD, to: NEW, moved: true, ...told })
  assert.deepEqual(await volumes.leaseOf(ID), { node: NEW, epoch: 2, until: null })
})

test('a move to the node where the volume is, and one of a volume without data, change nothing', async () => {
  assert.deepEqual(await move(blog, OLD), { app: 'blog', from: OLD, to: OLD, moved: false })
  await volumes.beginErasure(ID, '')
  await volumes.forget(ID, '')
  await volumes.adopt(blog)
  assert.deepEqual(await move(), { app: 'blog', from: null, to: NEW, moved: false })
  assert.deepEqual(asked, [])
})

test('what cannot be moved is refused before anything is stopped', async () => {
  await rejectsWith('bad-input', move(appWith()))
  await rejectsWith('bad-input', move(appWith({ id: ID, size: '1GiB', path: '/data', driver: 'pool' })))
  await rejectsWith('not-found', move(blog, nodeName('never')))
  target = { name: NEW, state: 'healthy', cordon: { since: '2026-01-01T00:00:00.000Z' } }
  await rejectsWith('node-cordoned', move())
  for (const state of ['joining', 'unhealthy', 'gone'] as const) {
    target = { name: NEW, state }
    await rejectsWith('node-unreachable', move())
  }
  target = { name: NEW, state: 'healthy', volumeDrivers: ['pool'] }
  await rejectsWith('no-node', move())
  assert.deepEqual([asked, await holder()], [[], OLD])
})

test('a move that fails is called off, and cannot be finished later', async () => {
  receives = () => Promise.reject(new ShadowError('node-unreachable', 'killed'))
  await rejectsWith('node-unreachable', move())
  await rejectsWith('changed', volumes.finishMove(ID, NEW, asked[0] ?? ''))
  assert.equal(await holder(), OLD)
})

test('a move whose answer is lost after the lease has passed on has succeeded', async () => {
  receives = async id => {
    await volumes.finishMove(ID, NEW, id)
    throw new ShadowError('node-unreachable', 'the answer is lost')
  }
  assert.equal((await move()).moved, true)
  await volumes.finishMove(ID, NEW, asked[0] ?? '')
  assert.equal((await volumes.leaseOf(ID))?.epoch, 2, 'the same call again is success')
})

test('a new node whose machine has lost its power is not waited for: the move is called off', async () => {
  receives = () => new Promise(() => undefined)
  const moving = rejectsWith('node-unreachable', move())
  while (asked.length === 0) await new Promise(resolve => setImmediate(resolve))
  await clock.advance(20_000)
  assert.equal((await volumes.movingOf(ID))?.id, asked[0], 'as long as it is there, it may take its time')
  target = { name: NEW, state: 'gone' }
  await clock.advance(5_000)
  await moving
  assert.deepEqual([await volumes.movingOf(ID), await holder(), clock.waiting], [undefined, OLD, 0])
  await rejectsWith('changed', volumes.finishMove(ID, NEW, asked[0] ?? ''))
})

test('an old node that asks for its lease meanwhile keeps it, and calls the move off', async () => {
  receives = async id => {
    await volumes.lease(ID, OLD)
    await volumes.finishMove(ID, NEW, id)
  }
  await rejectsWith('changed', move())
  assert.deepEqual(await volumes.leaseOf(ID), { node: OLD, epoch: 1, until: null })
})

test('its progress is that of the node that sends; an app that is being moved is not moved again', async () => {
  assert.equal(await moves().progress(blog), null)
  sending = { stage: 'copying', pass: 1, readBytes: 10, ofBytes: 100, sentBytes: 10 }
  assert.equal(await moves().progress(blog), null, 'no move has begun')
  await volumes.beginMove(ID, { id: 'first', from: OLD, to: nodeName('third') })
  assert.deepEqual(await moves().progress(blog), { ...sending, from: OLD, to: 'third' })
  await rejectsWith('volume-in-use', move())
  assert.equal(await volumes.movedFrom(ID, nodeName('third'), 'first'), OLD, 'the first one goes on')
  sending = null
  assert.equal((await move()).moved, true, 'what a dead one has left is replaced')
})

test('only the node that a move goes to may read the bytes', async () => {
  await volumes.beginMove(ID, { id: 'm', from: OLD, to: NEW })
  assert.equal(await volumes.movedFrom(ID, NEW, 'm'), OLD)
  await rejectsWith('changed', volumes.movedFrom(ID, NEW, 'another'))
  await rejectsWith('changed', volumes.movedFrom(ID, nodeName('third'), 'm'))
})
