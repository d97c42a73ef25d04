import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { MasterClient } from '../api/client.ts'
import { type FailureCode, isFailure, ShadowError } from '../lib/errors.ts'
import { readIfThere } from '../lib/files.ts'
import { Mutex } from '../lib/mutex.ts'
import { directory } from '../master/storage/directory.ts'
import { type Volumes, volumeRecords } from '../master/volumes.ts'
import type { App } from '../model/app.ts'
import { leaseTimes } from '../model/intervals.ts'
import { appName, type NodeName, nodeName, volumeId } from '../model/names.ts'
import type { LeaseGuard } from '../nodeproxy/leases/guard/guard.ts'
import { Leases } from '../nodeproxy/leases/leases.ts'
import { VolumeMoves } from '../nodeproxy/volume-moves.ts'
import type { BlockDriver } from '../nodeproxy/volumes/block-driver.ts'
import { BlockDrivers } from '../nodeproxy/volumes/block-drivers.ts'
import { HandClock } from './clock.ts'
import { silentLog } from './silent-log.ts'

const BLOG = appName('blog')
const ID = volumeId('blog')
const TASK = { volume: { id: ID, size: '1GiB', path: '/data' } }
const APP = { name: BLOG, createdAt: '2026-01-01T00:00:00.000Z', task: TASK } as unknown as App
const OLD = nodeName('old')
const NEW = nodeName('new')
const DATA = Buffer.concat([Buffer.from('data'), Buffer.alloc(3_000_000), Buffer.from('more data')])

/** Faults of the world, by where they happen. */
type Faults = {
  /** Called with each part of the image on its way. */
  onBytes?: () => void | Promise<void>
  beforeTakeOver?: () => void | Promise<void>
  /** The lease has passed on, and the answer is lost. */
  afterTakeOver?: () => void | Promise<void>
}

let root: string
let volumes: Volumes
let faults: Faults
let oldNode: Side
let newNode: Side
const clock = new HandClock()

type Side = ReturnType<typeof side>

/** One node with its disk. `again` is the same node after a restart. */
function side(name: NodeName) {
  const folder = join(root, name)
  const image = join(folder, ID, 'image.ext4')
  const turn = new Mutex()
  const master = { call: callMaster, raw: readImage } as unknown as MasterClient
  const driver = {
    excludes: true,
    file: () => image,
    detach: async () => undefined,
    attached: async () => [],
    remove: () => rm(join(folder, ID), { recursive: true, force: true }),
  } as unknown as BlockDriver
  const guard = { leave: async () => undefined } as unknown as LeaseGuard
  const about = { folder, node: name, master, clock, log: silentLog }
  const leases = new Leases({ ...about, times: leaseTimes(30_000), guard, permitOf: () => undefined })
  const instance = {
    volume: ID,
    whileAsleep: <T>(action: () => Promise<T>): Promise<T> => turn.take(action),
  }
  const moves = new VolumeMoves({
    ...about,
    volumes: new BlockDrivers({ loop: driver }),
    leases,
    instanceOf: async () => instance,
  })
  const terms = { id: ID, expires: false, excludes: true }
  return {
    name,
    image,
    moves,
    /** What a wake does first; it waits for its turn. */
    wake: () => turn.take(() => leases.take(terms, new AbortController().signal)),
    bytes: () => readFile(image).catch(() => undefined),
    lease: () => readIfThere(join(folder, ID, 'lease.json')),
    again: () => side(name),
  }
}

async function callMaster(name: string, { body }: { body: { node: NodeName; move: string } }): Promise<unknown> {
  if (name === 'leaseVolume') return volumes.lease(ID, body.node)
  assert.equal(name, 'takeMovedVolume')
  await faults.beforeTakeOver?.()
  await volumes.finishMove(ID, body.node, body.move)
  await faults.afterTakeOver?.()
  return undefined
}

/** The stream from the old node to the new one, as the master would relay it. */
async function readImage(_: string, { query, signal }: { query: { move: string }; signal: AbortSignal }) {
  await volumes.movedFrom(ID, NEW, query.move)
  const gone = new AbortController()
  const body = Object.assign(new PassThrough(), { headersSent: false, writeHead: () => body, flushHeaders: () => {} })
  body.on('close', () => gone.abort()).on('error', () => undefined)
  signal.addEventListener('abort', () => body.destroy(), { once: true })
  const write = body.write.bind(body)
  let said = Promise.resolve()
  body.write = ((bytes: Buffer) => {
    said = said.then(() => faults.onBytes?.())
    said.catch(error => body.destroy(error as Error))
    return write(bytes)
  }) as typeof body.write
  sending = oldNode.moves
    .send({ volume: ID, app: BLOG }, undefined, body as never, gone.signal)
    .catch(error => void body.destroy(error as Error))
  return { status: 200, headers: {}, body }
}

let sending: Promise<void> | undefined
async function move(signal = new AbortController().signal): Promise<void> {
  const id = 'move-1'
  await volumes.beginMove(ID, { id, from: OLD, to: NEW })
  try {
    await newNode.moves.receive({ volume: ID, move: id, neededBytes: 0 }, signal)
  } catch (error) {
    await volumes.endMove(ID, id)
    throw error
  } finally {
    await sending
  }
}

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'shadow-test-moves-'))
  faults = {}
  sending = undefined
  const records = { read: async () => ({ state: 'live', app: APP, etag: '1' }) } as never
  volumes = volumeRecords({ storage: await directory({ path: join(root, 'store') }), records, clock })
  await volumes.adopt(APP)
  oldNode = side(OLD)
  newNode = side(NEW)
  await mkdir(join(root, OLD, ID), { recursive: true })
  await writeFile(oldNode.image, DATA)
  await oldNode.wake()
})
afterEach(() => rm(root, { recursive: true, force: true }))

const rejectsWith = (code: FailureCode, action: Promise<unknown>) =>
  assert.rejects(action, error => isFailure(error, code))

/** The node that has the lease can wake the app with all its data, and the other one cannot. */
async function isWholeAt(here: Side, there: Side): Promise<void> {
  await here.wake()
  assert.ok((await here.bytes())?.equals(DATA), `${here.name} does not have the data`)
  assert.equal(await there.lease(), undefined)
  await rejectsWith('volume-elsewhere', there.wake())
}

test('a volume moves: the new node has its data and its lease, and the old one has nothing', async () => {
  await move()
  assert.equal(await oldNode.bytes(), undefined)
  assert.deepEqual(await readdir(join(root, NEW, ID)), ['image.ext4'])
  await isWholeAt(newNode, oldNode)
  assert.deepEqual([...((await volumes.placesOf(ID)) ?? [])].sort(), [NEW, OLD])
})

test('a wake during the move waits, and then learns where the volume is', async () => {
  let woken: Promise<unknown> | undefined
  faults.onBytes = () => {
    woken ??= oldNode.wake().catch((error: unknown) => error)
  }
  await move()
  const error = await woken
  assert.ok(isFailure(error, 'volume-elsewhere'))
  assert.equal(error.details.facts?.['node'], NEW)
})

test('a volume moves back, over the copy that an earlier move has left', async () => {
  await move()
  await writeFile(oldNode.image, 'stale').catch(() => undefined)
  await mkdir(join(root, OLD, ID), { recursive: true })
  await writeFile(oldNode.image, 'stale')
  const [first, second] = [oldNode, newNode]
  oldNode = second
  newNode = first
  await volumes.beginMove(ID, { id: 'move-2', from: NEW, to: OLD })
  const forBack = volumes.movedFrom
  volumes = { ...volumes, movedFrom: (id, _, name) => forBack(id, OLD, name) }
  await newNode.moves.receive({ volume: ID, move: 'move-2', neededBytes: 0 }, new AbortController().signal)
  await sending
  await isWholeAt(newNode, oldNode)
})

describe('a move that is cut short leaves the volume whole at the old node', () => {
  const staysAfter = async (action: Promise<unknown>): Promise<void> => {
    await assert.rejects(action)
    assert.equal(await newNode.bytes(), undefined)
    assert.deepEqual(await readdir(join(root, NEW, ID)), [], 'no part is left')
    await isWholeAt(oldNode, newNode)
  }

  test('when the stream breaks', async () => {
    faults.onBytes = () => Promise.reject(new Error('the wire was cut'))
    await staysAfter(move())
  })

  test('when the caller leaves', async () => {
    const caller = new AbortController()
    faults.onBytes = () => caller.abort(new Error('the caller has left'))
    await staysAfter(move(caller.signal))
  })

  test('when the master calls it off before the lease passes on', async () => {
    faults.beforeTakeOver = () => volumes.endMove(ID, 'move-1')
    await staysAfter(move())
  })

  test('when the old node was started anew and woke the app before the lease passed on', async () => {
    faults.beforeTakeOver = async () => void (await oldNode.again().wake())
    await staysAfter(move())
  })

  test('when the new node has no room: the app is not even put to sleep', async () => {
    await volumes.beginMove(ID, { id: 'move-1', from: OLD, to: NEW })
    const what = { volume: ID, move: 'move-1', neededBytes: Number.MAX_SAFE_INTEGER }
    await rejectsWith('disk-full', newNode.moves.receive(what, new AbortController().signal))
    assert.equal(sending, undefined)
    assert.notEqual(await oldNode.lease(), undefined)
    await isWholeAt(oldNode, newNode)
  })

  test('when another move has begun', async () => {
    faults.onBytes = () => volumes.beginMove(ID, { id: 'move-2', from: OLD, to: NEW })
    await staysAfter(move())
  })

  test('when the new node dies with the whole image and without the lease: its copy does no harm', async () => {
    faults.beforeTakeOver = () => Promise.reject(new ShadowError('master-unreachable', 'killed'))
    await assert.rejects(move())
    await isWholeAt(oldNode, newNode.again())
  })
})

test('when the answer to the switch is lost, the volume is whole at the new node', async () => {
  faults.afterTakeOver = () => Promise.reject(new ShadowError('master-unreachable', 'the answer is lost'))
  await assert.rejects(move())
  await isWholeAt(newNode.again(), oldNode)
  assert.equal(await oldNode.bytes(), undefined)
})

describe('a node that is started anew', () => {
  const dyingOld = async (): Promise<void> => {
    // The old node dies while it sends: nothing of its own clean-up is done.
    await writeFile(join(root, OLD, ID, 'moving.json'), JSON.stringify({ app: BLOG }))
    await rm(join(root, OLD, ID, 'lease.json'))
  }

  test('has its volume back, if the move was not finished', async () => {
    await volumes.beginMove(ID, { id: 'move-1', from: OLD, to: NEW })
    await dyingOld()
    const again = oldNode.again()
    await again.moves.recover()
    assert.notEqual(await again.lease(), undefined)
    await rejectsWith('changed', volumes.finishMove(ID, NEW, 'move-1'))
    await isWholeAt(again, newNode)
  })

  test('removes the bytes, if the lease has passed on', async () => {
    await volumes.beginMove(ID, { id: 'move-1', from: OLD, to: NEW })
    await volumes.finishMove(ID, NEW, 'move-1')
    await dyingOld()
    await oldNode.again().moves.recover()
    assert.equal(await oldNode.bytes(), undefined)
  })

  test('removes the part that it was receiving', async () => {
    await mkdir(join(root, NEW, ID), { recursive: true })
    await writeFile(join(root, NEW, ID, 'moving-1'), 'part')
    await newNode.again().moves.recover()
    assert.deepEqual(await readdir(join(root, NEW, ID)), [])
  })
})
