import assert from 'node:assert/strict'
import { beforeEach, test } from 'vitest'
import { type FailureCode, isFailure, ShadowError } from '../../lib/errors.ts'
import { nodeName, type SnapshotId, snapshotId, volumeId } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { dyingStorage } from '../../testing/dying-storage.ts'
import { anApp } from '../../testing/fake-app.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { silentLog } from '../../testing/silent-log.ts'
import type { Records } from '../records.ts'
import type { Storage } from '../storage/storage.ts'
import { snapshotRecords } from './records.ts'
import { type VolumeSnapshots, volumeSnapshots } from './snapshots.ts'

const volume = volumeId('blog')
const id = (name: string): SnapshotId => snapshotId(name)
const signal = new AbortController().signal

let clock: HandClock
let storage: Storage
let disk: Disk
let master: VolumeSnapshots

/** A node, and its disk with the bytes of the volume and of its snapshots. */
type Disk = {
  bytes: string
  readonly snapshots: Map<SnapshotId, string>
  readonly calls: string[]
  /** Called before and after each call that changes something: what it throws is the answer. */
  fault: (call: string, when: 'before' | 'after') => void
}

beforeEach(() => {
  clock = new HandClock()
  storage = memoryStorage()
  disk = { bytes: 'first', snapshots: new Map(), calls: [], fault: () => undefined }
  master = aMaster(storage)
})

function aMaster(over: Storage, at = nodeName('n1')): VolumeSnapshots {
  const client = { call }
  return volumeSnapshots({
    apps: { read: async () => ({ state: 'live', app: anApp(), etag: '1' }) } as unknown as Records,
    records: snapshotRecords({ storage: over, clock }),
    relay: {
      atVolume: async () => ({ node: at, client, headers: {} }),
      nodeClient: async (name: string) => (name === 'gone' ? undefined : client),
      nodeWithDriver: async () => at,
    } as never,
    clock,
    log: silentLog,
  })
}

type Asked = { params: { snapshot: SnapshotId }; body: { snapshot: SnapshotId; keep: SnapshotId } }
async function call(name: string, { params, body }: Asked): Promise<unknown> {
  if (name === 'listSnapshots') return { items: [...disk.snapshots.keys()].map(one => ({ id: one, bytes: 5 })) }
  disk.calls.push(name)
  disk.fault(name, 'before')
  let answer: unknown
  if (name === 'takeSnapshot') {
    disk.snapshots.set(params.snapshot, disk.bytes)
    answer = { consistent: 'frozen', frozenMs: 12, bytes: 5 }
  } else if (name === 'finishSnapshot') {
    if (!disk.snapshots.has(params.snapshot)) throw new ShadowError('not-found', 'it is not there')
  } else if (name === 'removeSnapshot') disk.snapshots.delete(params.snapshot)
  else if (name === 'restoreVolume') {
    disk.snapshots.set(body.keep, disk.bytes)
    disk.bytes = disk.snapshots.get(body.snapshot) ?? assert.fail('no such snapshot')
    answer = { kept: true, heldMs: 30, bytes: 5 }
  }
  disk.fault(name, 'after')
  return answer
}

const take = (name?: string, more: { keep?: number; note?: string } = {}, by = master) =>
  by.take(volume, { by: 'anna', ...(name !== undefined && { name: id(name) }), ...more }, signal)
const restore = (name: string, by = master) => by.restore(volume, id(name), { by: 'anna', dryRun: false }, signal)
const names = async (by = master) => (await by.list(volume)).map(one => one.id)
const fails = (code: FailureCode, work: Promise<unknown>) => assert.rejects(work, error => isFailure(error, code))

/** What is offered is there, whole; what is there is offered. */
async function isSound(by: VolumeSnapshots): Promise<void> {
  const offered = await by.list(volume)
  assert.ok(offered.every(({ state }) => state === 'ready'))
  assert.deepEqual(offered.map(one => one.id).sort(), [...disk.snapshots.keys()].sort())
}

test('a snapshot is recorded with who took it, when, where, how, and how large it is', async () => {
  const { takenAt, ...rest } = await take('monday', { note: 'before the upgrade' })
  assert.equal(takenAt, new Date(clock.wall()).toISOString())
  assert.deepEqual(rest, {
    id: 'monday',
    volume: 'blog',
    app: 'blog',
    state: 'ready',
    reason: 'asked',
    by: 'anna',
    note: 'before the upgrade',
    node: 'n1',
    consistent: 'frozen',
    frozenMs: 12,
    bytes: 5,
    size: '32MiB',
  })
})

test('a snapshot without a name is named by the time, also the second one of a second', async () => {
  await take()
  await take()
  const time = new Date(clock.wall()).toISOString()
  const name = `${time.slice(0, 10).replaceAll('-', '')}-${time.slice(11, 19).replaceAll(':', '')}`
  assert.deepEqual((await names()).sort(), [name, `${name}-2`])
})

test('a name is given once', async () => {
  await take('monday')
  disk.bytes = 'second'
  await fails('already-exists', take('monday'))
  assert.equal(disk.snapshots.get(id('monday')), 'first')
})

test('older ones are removed only when the new one is there', async () => {
  for (const name of ['a', 'b', 'c']) {
    await take(name)
    clock.pause(1_000)
  }
  disk.fault = name => {
    if (name === 'takeSnapshot') throw new ShadowError('disk-full', 'no space left')
  }
  await fails('disk-full', take('d', { keep: 2 }))
  assert.deepEqual(await names(), ['c', 'b', 'a'])
  disk.fault = () => undefined
  await take('d', { keep: 2 })
  assert.deepEqual(await names(), ['d', 'c'])
  assert.deepEqual([...disk.snapshots.keys()], ['c', 'd'])
})

test('there is a limit, which --keep makes room in', async () => {
  for (let n = 0; n < 100; n++) await take(`s${n}`)
  await fails('snapshots-full', take('more'))
  await take('more', { keep: 100 })
  assert.equal((await names()).length, 100)
})

test('a snapshot is removed; a dry run only tells of it', async () => {
  await take('monday')
  assert.equal((await master.remove(volume, id('monday'), { dryRun: true })).id, 'monday')
  assert.deepEqual(await names(), ['monday'])
  await master.remove(volume, id('monday'), { dryRun: false })
  assert.deepEqual([await names(), disk.snapshots.size], [[], 0])
  await fails('not-found', master.remove(volume, id('monday'), { dryRun: false }))
})

test('a restore can be undone', async () => {
  await take('monday')
  disk.bytes = 'second'
  const { kept, heldMs } = await restore('monday')
  assert.deepEqual([disk.bytes, heldMs], ['first', 30])
  assert.ok(kept !== null)
  assert.match(kept, /^before-restore-/)
  await restore(kept)
  assert.equal(disk.bytes, 'second')
})

test('a dry run of a restore changes nothing', async () => {
  await take('monday')
  disk.bytes = 'second'
  const { restored } = await master.restore(volume, id('monday'), { by: 'anna', dryRun: true }, signal)
  assert.deepEqual([restored, disk.bytes, await names()], [false, 'second', ['monday']])
})

test('of what restores have replaced, the last three are kept', async () => {
  await take('monday')
  for (let n = 0; n < 5; n++) {
    disk.bytes = `state ${n}`
    await restore('monday')
    clock.pause(1_000)
  }
  assert.deepEqual([...disk.snapshots.values()], ['first', 'state 2', 'state 3', 'state 4'])
  await isSound(master)
})

const undo = (dryRun = false) => master.undo(volume, { by: 'anna', dryRun }, signal)
const AN_APP = anApp()

test('an undo brings what was before the last restore, and the next one what was before the undo; one snapshot is kept', async () => {
  await fails('not-found', undo())
  await take('monday')
  disk.bytes = 'second'
  await restore('monday')
  await undo(true)
  assert.equal(disk.bytes, 'first')
  for (const bytes of ['second', 'first', 'second']) {
    clock.pause(1_000)
    await undo()
    assert.equal(disk.bytes, bytes)
    assert.equal(disk.snapshots.size, 2)
    await isSound(master)
  }
})

test('what is replaced by bytes from elsewhere is kept like what a snapshot has replaced, and is not kept if that fails', async () => {
  const bring = (bytes: string) =>
    master.keeping(AN_APP, nodeName('n1'), { by: 'anna', note: 'before a backup' }, async keep => {
      if (disk.bytes !== '') disk.snapshots.set(keep, disk.bytes)
      disk.bytes = bytes
      return { kept: true, bytes: 5 }
    })
  const { keep } = await bring('backed up')
  assert.match(keep ?? '', /^before-restore-/)
  await isSound(master)
  await undo()
  assert.equal(disk.bytes, 'first')

  const failing = master.keeping(AN_APP, nodeName('n1'), { by: 'anna', note: '' }, () =>
    Promise.reject(new ShadowError('disk-full', 'no space left')),
  )
  await fails('disk-full', failing)
  const before = disk.snapshots.size
  await isSound(master)
  const nothing = await master.keeping(AN_APP, nodeName('n1'), { by: 'anna', note: '' }, async () => ({ kept: false }))
  assert.deepEqual([nothing.keep, disk.snapshots.size], [null, before])
  for (let n = 0; n < 10; n++) {
    clock.pause(1_000)
    await bring(`restore ${n}`)
  }
  assert.equal(disk.snapshots.size, 3, 'they do not grow without bound')
})

test('what restores have replaced expires, also where a master died in between; other snapshots stay', async () => {
  await take('monday')
  await take('before-restore-by-hand')
  disk.bytes = 'second'
  await restore('monday')
  await master.expire(86_400_000)
  assert.equal(disk.snapshots.size, 3)
  clock.pause(86_400_000)
  for (let writes = 0; writes < 2; writes++) await aMaster(dyingStorage(storage, writes)).expire(86_400_000)
  await master.expire(86_400_000)
  assert.deepEqual([...disk.snapshots.keys()].sort(), ['before-restore-by-hand', 'monday'])
  await isSound(master)
})

test('a snapshot on the disk of another node than the volume is not restored, and the hint says how to', async () => {
  await take('monday')
  const moved = aMaster(storage, nodeName('n2'))
  await assert.rejects(
    restore('monday', moved),
    error => isFailure(error, 'volume-elsewhere') && error.details.hint === 'shadow move blog --to n1',
  )
})

test('what a failure has left is removed, and a node that does not answer then is asked again later', async () => {
  let silent = true
  disk.fault = (name, when) => {
    if (name === 'takeSnapshot' && when === 'after') throw new ShadowError('node-unreachable', 'the answer is lost')
    if (name === 'removeSnapshot' && silent) throw new ShadowError('node-unreachable', 'it does not answer')
  }
  await fails('node-unreachable', take('monday'))
  assert.deepEqual(await names(), [], 'nothing half is offered')
  assert.equal(disk.snapshots.size, 1)
  silent = false
  clock.pause(130_000)
  await isSound(master)
  assert.equal(disk.snapshots.size, 0)
})

test('a snapshot that another master takes just now is left alone, however long it takes', async () => {
  const gate = Promise.withResolvers<void>()
  const other = aMaster(storage)
  const waits = volumeSnapshots({
    apps: { read: async () => ({ state: 'live', app: anApp(), etag: '1' }) } as unknown as Records,
    records: snapshotRecords({ storage, clock }),
    relay: {
      atVolume: async () => ({
        node: nodeName('n1'),
        headers: {},
        client: { call: (name: string, asked: Asked) => gate.promise.then(() => call(name, asked)) },
      }),
      nodeClient: async () => ({ call }),
    } as never,
    clock,
    log: silentLog,
  })
  const taken = take('monday', {}, waits)
  for (let n = 0; n < 10; n++) {
    await clock.advance(60_000)
    assert.deepEqual(await names(other), [])
  }
  gate.resolve()
  await taken
  assert.deepEqual(await names(other), ['monday'])
})

test('a master that dies at any write leaves nothing half: the next one finds all or nothing', async () => {
  for (let writes = 0; writes < 12; writes++) {
    storage = memoryStorage()
    disk = { bytes: 'first', snapshots: new Map(), calls: [], fault: () => undefined }
    const mortal = aMaster(dyingStorage(storage, writes))
    const ended = await take('monday', {}, mortal).then(
      () => 'taken',
      () => 'failed',
    )
    if (ended === 'taken') disk.bytes = 'second'
    const undone =
      ended === 'taken' &&
      (await restore('monday', mortal).then(
        () => true,
        () => false,
      ))
    clock.pause(130_000)
    await isSound(aMaster(storage))
    if (disk.bytes === 'first' && ended === 'taken')
      assert.ok([...disk.snapshots.values()].includes('second'), 'what the restore has replaced is there')
    if (undone) assert.equal(disk.bytes, 'first')
  }
})

test('a node that dies before or after any of its calls leaves nothing half', async () => {
  for (const when of ['before', 'after'] as const)
    for (let at = 1; at < 6; at++) {
      storage = memoryStorage()
      disk = { bytes: 'first', snapshots: new Map(), calls: [], fault: () => undefined }
      master = aMaster(storage)
      let calls = 0
      disk.fault = (_, then) => {
        if (then === when && ++calls === at) throw new ShadowError('node-unreachable', 'it died')
      }
      const taken = await take('monday').then(
        () => true,
        () => false,
      )
      if (taken) disk.bytes = 'second'
      if (taken) await restore('monday').catch(() => undefined)
      disk.fault = () => undefined
      clock.pause(130_000)
      await isSound(master)
      if (taken && disk.bytes === 'first') assert.ok([...disk.snapshots.values()].includes('second'))
    }
})

test('a snapshot that the storage could not finish is gone, and one that it finishes later is offered then', async () => {
  disk.fault = name => {
    if (name === 'finishSnapshot') throw new ShadowError('cloud-failed', 'not finished yet')
  }
  await fails('cloud-failed', take('monday'))
  assert.deepEqual(
    (await master.list(volume)).map(({ state }) => state),
    ['storing'],
  )
  await fails('cloud-failed', restore('monday'))
  disk.fault = () => undefined
  assert.deepEqual(
    (await master.list(volume)).map(({ state }) => state),
    ['ready'],
  )

  disk.fault = name => {
    if (name === 'finishSnapshot') disk.snapshots.delete(id('tuesday'))
  }
  await fails('not-found', take('tuesday'))
  assert.deepEqual(await names(), ['monday'])
})

test('the volumes in a list have what there is of their snapshots', async () => {
  await take('monday')
  clock.pause(1_000)
  const { takenAt } = await take('tuesday')
  const [one, other] = await master.withSnapshots([{ id: volume }, { id: volumeId('other') }] as never)
  assert.deepEqual(one?.snapshots, { count: 2, bytes: 10, newestAt: takenAt })
  assert.equal(other?.snapshots, undefined)
  clock.pause(1_000)
  await restore('monday')
  const [restored] = await master.withSnapshots([{ id: volume }] as never)
  const now = new Date(clock.wall()).toISOString()
  assert.deepEqual(restored?.snapshots, { count: 3, bytes: 15, newestAt: now, undoAt: now, undoBytes: 5 })
})

test('the snapshots of a volume that is removed go with it', async () => {
  await take('monday')
  await take('tuesday')
  await master.removeAll(volume, new Date(clock.wall()).toISOString())
  assert.deepEqual([await names(), disk.snapshots.size], [[], 0])
})
