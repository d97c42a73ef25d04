import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { MasterClient } from '../api/client.ts'
import { type FailureCode, isFailure, ShadowError } from '../lib/errors.ts'
import { exec } from '../lib/exec.ts'
import { readIfThere } from '../lib/files.ts'
import { Mutex } from '../lib/mutex.ts'
import { sparseMap } from '../lib/sparse.ts'
import { directory } from '../master/storage/directory.ts'
import { type Volumes, volumeRecords } from '../master/volumes.ts'
import type { App } from '../model/app.ts'
import { leaseTimes } from '../model/intervals.ts'
import { appName, type NodeName, nodeName, volumeId } from '../model/names.ts'
import { size } from '../model/quantities.ts'
import type { LeaseGuard } from '../nodeproxy/leases/guard/guard.ts'
import { Leases } from '../nodeproxy/leases/leases.ts'
import { VolumeMoves } from '../nodeproxy/volume-moves.ts'
import type { BlockDriver } from '../nodeproxy/volumes/block-driver.ts'
import { BlockDrivers } from '../nodeproxy/volumes/block-drivers.ts'
import { KIND } from '../nodeproxy/volumes/image-frames.ts'
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
  /** Called with each frame on its way. */
  onFrame?: (kind: number) => void | Promise<void>
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
  const about = { folder, node: name, master, exec, clock, log: silentLog }
  const leases = new Leases({ ...about, times: leaseTimes(30_000), guard, permitOf: () => undefined })
  let stuck: ShadowError | undefined
  const instance = {
    volume: ID,
    whileAsleep: <T>(action: () => Promise<T>): Promise<T> =>
      turn.take(() => (stuck === undefined ? action() : Promise.reject(stuck))),
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
    cannotSleep: (problem: ShadowError | undefined) => {
      stuck = problem
    },
    /** What a wake does first; it waits for its turn. */
    wake: () => turn.take(() => leases.take(terms, new AbortController().signal)),
    bytes: () => readFile(image).catch(() => undefined),
    lease: () => readIfThere(join(folder, ID, 'lease.json')),
    again: () => side(name),
  }
}

type Asked = { body: { node: NodeName; move: string }; query?: { move: string } }
async function callMaster(name: string, { body, query }: Asked): Promise<unknown> {
  if (name === 'leaseVolume') return volumes.lease(ID, body.node)
  if (name === 'checkMovedVolume') return volumes.mustBeMoving(ID, NEW, query?.move ?? '')
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
    if (typeof bytes === 'string') return write(bytes) // the beat after the last frame
    said = said.then(() => faults.onFrame?.(bytes.readUInt8(0)))
    said.then(
      () => write(bytes) && body.emit('drain'),
      error => body.destroy(error as Error),
    )
    return false
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
    await newNode.moves.arrivals.receive({ volume: ID, move: id, neededBytes: 0, sizeBytes: 0 }, signal)
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

test('the app serves while its volume is copied, and what it writes meanwhile moves too', async () => {
  const changed = Buffer.from(DATA)
  changed.write('written while it was copied', 1_000_000)
  const stages: string[] = []
  faults.onFrame = async kind => {
    stages.push(oldNode.moves.progress(ID)?.stage ?? 'none')
    if (kind !== KIND.data || stages.at(-1) !== 'copying') return
    await oldNode.wake()
    await writeFile(oldNode.image, changed)
  }
  await move()
  assert.deepEqual([...new Set(stages)], ['copying', 'stopping', 'finishing'])
  assert.ok((await newNode.bytes())?.equals(changed))
  assert.equal(oldNode.moves.progress(ID), null)
})

test('a volume whose app grows it while it is copied has its new size at the new node', async () => {
  const larger = Buffer.concat([DATA, Buffer.alloc(1_000_000), Buffer.from('the new end')])
  faults.onFrame = async kind => {
    if (kind === KIND.data) await writeFile(oldNode.image, larger)
  }
  await move()
  assert.ok((await newNode.bytes())?.equals(larger))
})

test('a volume is sent once at a time', async () => {
  let second: Promise<unknown> | undefined
  faults.onFrame = () => {
    second ??= oldNode.moves
      .send({ volume: ID, app: BLOG }, undefined, undefined as never, new AbortController().signal)
      .catch((error: unknown) => error)
  }
  await move()
  assert.ok(isFailure(await second, 'volume-in-use'))
  await isWholeAt(newNode, oldNode)
})

test('a wake during the last part waits, and then learns where the volume is', async () => {
  let woken: Promise<unknown> | undefined
  faults.onFrame = () => {
    if (oldNode.moves.progress(ID)?.stage === 'finishing') woken ??= oldNode.wake().catch((error: unknown) => error)
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
  await newNode.moves.arrivals.receive(
    { volume: ID, move: 'move-2', neededBytes: 0, sizeBytes: 0 },
    new AbortController().signal,
  )
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

  for (const [kind, when] of [
    [KIND.pass, 'the copying begins'],
    [KIND.data, 'it is copied'],
    [KIND.stopping, 'the app is put to sleep'],
    [KIND.end, 'the last byte is sent'],
  ] as const) {
    test(`when the stream breaks as ${when}`, async () => {
      faults.onFrame = now => (now === kind ? Promise.reject(new Error('the wire was cut')) : undefined)
      await staysAfter(move())
    })

    test(`when the caller leaves as ${when}`, async () => {
      const caller = new AbortController()
      faults.onFrame = now => {
        if (now === kind) caller.abort(new Error('the caller has left'))
      }
      await staysAfter(move(caller.signal))
    })
  }

  test('when the app cannot be put to sleep: the caller is told why', async () => {
    oldNode.cannotSleep(new ShadowError('app-stuck', 'something uses it'))
    await assert.rejects(move(), error => isFailure(error, 'app-stuck') && error.message === 'something uses it')
    assert.notEqual(await oldNode.lease(), undefined, 'it still needs no master to wake')
    oldNode.cannotSleep(undefined)
    await isWholeAt(oldNode, newNode)
  })

  test('when a peer is silent for too long', async () => {
    const stuck = Promise.withResolvers<void>()
    faults.onFrame = kind => {
      if (kind !== KIND.data) return undefined
      stuck.resolve()
      return new Promise(() => undefined)
    }
    const moving = assert.rejects(move(), error => isFailure(error, 'node-unreachable'))
    await stuck.promise
    for (let n = 0; n < 40; n++) await clock.advance(1_000)
    await moving
    await isWholeAt(oldNode, newNode)
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
    const what = { volume: ID, move: 'move-1', neededBytes: Number.MAX_SAFE_INTEGER, sizeBytes: 0 }
    await rejectsWith('disk-full', newNode.moves.arrivals.receive(what, new AbortController().signal))
    assert.equal(sending, undefined)
    assert.notEqual(await oldNode.lease(), undefined)
    await isWholeAt(oldNode, newNode)
  })

  test('when the volume may grow beyond the disk of the new node, though its bytes have room there', async () => {
    await volumes.beginMove(ID, { id: 'move-1', from: OLD, to: NEW })
    const what = { volume: ID, move: 'move-1', neededBytes: 0, sizeBytes: 2 ** 55 }
    await assert.rejects(
      newNode.moves.arrivals.receive(what, new AbortController().signal),
      error =>
        isFailure(error, 'disk-full') && /is larger than the disk of .*; nothing was changed$/.test(error.message),
    )
    assert.equal(sending, undefined)
    await isWholeAt(oldNode, newNode)
  })

  test('when another move has begun', async () => {
    faults.onFrame = () => volumes.beginMove(ID, { id: 'move-2', from: OLD, to: NEW })
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

describe('an import', () => {
  /** The image as a node reads it: its map, its data and its checksum. */
  const archived = (): Readable => {
    const bytes = Buffer.concat([sparseMap([[0, DATA.length]], DATA.length), DATA])
    return Readable.from([bytes, createHash('sha256').update(bytes).digest()])
  }
  const image = () => join(root, NEW, ID, 'image.ext4')
  const begin = async (id: string): Promise<void> => {
    await volumes.beginErasure(ID, '')
    await volumes.forget(ID, '')
    await volumes.beginImport(ID, { id, to: NEW, size: size('16MiB'), driver: 'loop' })
  }
  const bring = (move: string) =>
    newNode.moves.arrivals.import({ volume: ID, move, size: DATA.length, bytes: DATA.length }, archived())
  const filesThere = () => readdir(join(root, NEW, ID)).catch(() => [])
  const lease = async () => (await volumes.leaseOf(ID))?.node
  beforeEach(() => begin('import-1'))

  test('makes the volume, over what one that was called off has left', async () => {
    await mkdir(join(root, NEW, ID), { recursive: true })
    await writeFile(image(), 'left over')
    await bring('import-1')
    assert.ok((await readFile(image())).equals(DATA))
    assert.deepEqual([await filesThere(), await lease()], [['image.ext4'], NEW])
  })

  test('that is late does not touch what another one has brought', async () => {
    await begin('import-2')
    await bring('import-2')
    await writeFile(image(), 'used since')
    await rejectsWith('changed', bring('import-1'))
    assert.equal(await readFile(image(), 'utf8'), 'used since')
    assert.deepEqual(await filesThere(), ['image.ext4'])
  })

  test('that is called off at its last step leaves nothing', async () => {
    faults.beforeTakeOver = () => volumes.endMove(ID, 'import-1')
    await rejectsWith('changed', bring('import-1'))
    assert.deepEqual([await filesThere(), await lease()], [[], undefined])
  })

  for (const [counts, fault] of [
    [false, 'beforeTakeOver'],
    [true, 'afterTakeOver'],
  ] as const)
    test(`whose node dies ${counts ? 'after' : 'before'} the volume was made is settled at its next start`, async () => {
      faults[fault] = () => Promise.reject(new ShadowError('master-unreachable', 'killed'))
      await rejectsWith('master-unreachable', bring('import-1'))
      faults = {}
      await volumes.endMove(ID, 'import-1')
      await newNode.again().moves.recover()
      assert.deepEqual([await filesThere(), await lease()], counts ? [['image.ext4'], NEW] : [[], undefined])
    })
})
