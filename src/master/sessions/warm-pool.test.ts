import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import type { Session } from '../../model/session.ts'
import { HandClock } from '../../testing/clock.ts'
import { type FakeNode, fakeNode, instanceView } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { silentLog } from '../../testing/silent-log.ts'
import { changeStream } from '../change-stream.ts'
import { MasterLease } from '../master-lease.ts'
import type { Storage } from '../storage/storage.ts'
import { nameFor } from './names.ts'
import { SessionIndex } from './session-index.ts'
import { WarmFiller } from './warm-filler.ts'

const PAUSED = { at: new Date(0).toISOString(), why: 'asked' }
let node: FakeNode
let masters: TestMaster[]
let clock: HandClock
let storage: Storage
/** Called before each read and each write of a document; a test may do there what another master does at that moment. */
let beforeWrite: (key: string) => Promise<void>
let beforeRead: (key: string) => Promise<void>
beforeEach(async () => {
  clock = new HandClock()
  node = await fakeNode('n1')
  storage = memoryStorage()
  beforeWrite = async () => undefined
  beforeRead = async () => undefined
  masters = [await testMaster(watched(), clock), await testMaster(watched(), clock)]
  await announce(node, 'n1')
})
afterEach(async () => {
  await Promise.all(masters.map(master => master[Symbol.asyncDispose]()))
  await node[Symbol.asyncDispose]()
})

const watched = (): Storage => ({
  ...storage,
  async get(key) {
    await beforeRead(key)
    return storage.get(key)
  },
  async create(key, value) {
    await beforeWrite(key)
    return storage.create(key, value)
  },
  async update(key, value, etag) {
    await beforeWrite(key)
    return storage.update(key, value, etag)
  },
})
async function announce({ address, key, controlKey }: FakeNode, name: string): Promise<void> {
  const client = await one().as('node', name)
  await client.call('announceNode', { params: { node: name }, body: anAnnouncement({ address, key, controlKey }) })
}
/** The first write, or read, of the document waits until another call has been answered. */
function firstLet(
  key: string,
  call: () => ReturnType<typeof connect>,
  what: 'write' | 'read' = 'write',
): Promise<Awaited<ReturnType<typeof connect>>> {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof connect>>>()
  let isFirst = true
  const first = async (used: string): Promise<void> => {
    if (used !== key || !isFirst) return
    isFirst = false
    await call().then(resolve, reject)
    await promise
  }
  if (what === 'write') beforeWrite = first
  else beforeRead = first
  return promise
}
const one = (): TestMaster => masters[0] as TestMaster
const admin = (): MasterClient => one().admin
const other = (): MasterClient => (masters[1] as TestMaster).admin
const isCode = (code: ShadowError['code']) => (error: unknown) => isFailure(error, code)
const connect = (more: object = {}, by = admin()) =>
  by.call('connectSession', { body: { template: 'editor', ...more } })
const template = (rules: object, more: object = {}) =>
  admin().call('registerApp', { body: { name: 'editor', image: 'x', template: rules, ...more } })
const get = (session: string) => admin().call('getSession', { params: { session } })
const sessionOf = async (app: string) => (await admin().call('getApp', { params: { app } })).session
const sessions = async () => (await admin().call('listSessions', { query: {} })).items
/** The names of those that wait in the pool, once there are so many, none of `old`, and all masters know that they may be handed out. */
async function pool(size: number, old: readonly string[] = []): Promise<readonly string[]> {
  for (;;) {
    const warm = (await sessions()).filter(one => one.warm).map(({ session }) => session)
    const all = await Promise.all(warm.map(name => sessionOf(name).catch(() => undefined)))
    const isOther = !warm.some(name => old.includes(name))
    await clock.advance(500) // the other master reads the journal
    if (warm.length === size && isOther && all.every(session => session?.warm?.ready)) return warm
  }
}
const KEY = (name: string) => `apps/${name}.json`

describe('the pool of a template', () => {
  test('is filled, and a connect takes one of it, which gets its user, its lifetime and its rules only then', async () => {
    await template({ warm: 2, lifetime: '5s', visitors: 'all', whenIdle: 'sleep' })
    const warm = await pool(2)
    assert.equal((await get(warm[0] ?? '')).until, null)
    await clock.advance(8_000)
    assert.deepEqual(await pool(2), warm, 'nothing ends those that nobody has taken')
    const got = await connect({ user: 'ann', spawn: { idle: '5s' } })
    assert.ok(warm.includes(got.session))
    assert.deepEqual([got.spawned, got.fromPool, got.warm, got.token], [true, true, false, null])
    assert.equal(got.until, new Date(clock.wall() + 5_000).toISOString())
    const { whenIdle, visitors, idle, node: at, warm: left } = (await sessionOf(got.session)) as Session
    assert.deepEqual([whenIdle, visitors, idle, at, left], ['sleep', 'all', '5s', 'n1', undefined])
    assert.equal((await pool(2)).includes(got.session), false, 'it is filled again')
  })

  test('gives each of its sessions to one caller, over two masters; the others get new ones', async () => {
    await template({ warm: 3 })
    const warm = await pool(3)
    const all = await Promise.all(Array.from({ length: 8 }, (_, index) => connect({}, masters[index % 2]?.admin)))
    assert.equal(new Set(all.map(({ session }) => session)).size, 8)
    assert.equal(new Set(all.map(({ token }) => token)).size, 8)
    const taken = all.filter(({ fromPool }) => fromPool).map(({ session }) => session)
    assert.ok(taken.length >= 1 && taken.every(name => warm.includes(name)))
  })

  test('is not for those who bring variables, nor for keys with a volume', async () => {
    await template({ warm: 1 }, { volume: { size: '16MiB' } })
    const [warm] = await pool(1)
    assert.equal((await connect({ spawn: { env: { A: '1' } } })).fromPool, false)
    assert.equal((await connect({ key: { name: 'a' } })).fromPool, false)
    assert.equal((await connect()).session, warm)
  })

  test('is made anew by a release, ends with the template’s word, and keeps within the most', async () => {
    await template({ warm: 2, most: 3 })
    const old = await pool(2)
    await admin().call('updateApp', { params: { app: 'editor' }, body: { image: 'y' } })
    assert.equal((await connect()).fromPool, false, 'those of the earlier release are handed out no more')
    await pool(2, old)
    await connect({ spawn: { env: { A: '1' } } })
    const [last] = await pool(1)
    assert.equal((await connect()).session, last)
    await pool(0)
    await assert.rejects(connect(), isCode('sessions-full'))
    await admin().call('setTemplate', { params: { app: 'editor' }, body: { warm: 1 } })
    await pool(1)
    await admin().call('removeApp', { params: { app: 'editor' } })
    await pool(0)
  })

  test('leaves a node that is cordoned', async () => {
    await template({ warm: 1 })
    const [warm] = await pool(1)
    await using second = await fakeNode('n2')
    await announce(second, 'n2')
    await admin().call('cordonNode', { params: { node: 'n1' } })
    for (;;) {
      const [next] = await pool(1)
      if (next !== warm) return assert.equal((await get(next ?? '')).node, 'n2')
      await clock.advance(1_000)
    }
  })

  test('of an app that does not start is tried again after longer and longer pauses', async () => {
    node.failures.set('wakeInstance', new ShadowError('app-crashed', 'it ended with exit code 3'))
    await template({ warm: 1 })
    const tries = () => node.calls.filter(call => call.startsWith('wakeInstance')).length
    while (tries() === 0) await clock.advance(100)
    for (let second = 0; second < 40; second++) {
      if (second % 5 === 0) await announce(node, 'n1')
      await clock.advance(1_000)
    }
    assert.ok(tries() >= 3 && tries() <= 7, `${tries()} tries`)
    assert.deepEqual(await sessions(), [])
  })
})

describe('the last warm session', () => {
  test('is lost to a call that another master answers first; the slower one gets a new one', async () => {
    await template({ warm: 1 })
    const [warm = ''] = await pool(1)
    const quicker = firstLet(KEY(warm), () => connect({}, other()))
    const slower = await connect()
    assert.equal((await quicker).session, warm)
    assert.deepEqual([slower.fromPool, slower.session === warm], [false, false])
  })

  test('that dies as it is taken is not handed out', async () => {
    await template({ warm: 1 })
    const [warm] = await pool(1)
    node.failures.set('keepInstance', new ShadowError('session-not-found', 'it has ended'))
    const got = await connect()
    assert.deepEqual([got.fromPool, got.session === warm], [false, false])
  })
})

describe('a key', () => {
  const key = { name: 'a', namespace: '' }
  const name = nameFor('editor' as never, key)

  test('leads to the session that was taken for it, until that has ended; of many calls one takes it', async () => {
    await template({ warm: 2 })
    const warm = await pool(2)
    const all = await Promise.all(Array.from({ length: 20 }, (_, index) => connect({ key }, masters[index % 2]?.admin)))
    const [{ session } = { session: '' }] = all
    assert.ok(warm.includes(session))
    assert.deepEqual([...new Set(all.map(got => got.session))], [session])
    assert.equal(all.filter(({ spawned }) => spawned).length, 1)
    assert.deepEqual((await get(session)).key, key)
    await assert.rejects(connect({ key: { ...key, tag: 'v2' } }), isCode('tag-conflict'))
    await admin().call('endSession', { params: { session } })
    const next = await connect({ key: { ...key, tag: 'v2' } })
    assert.deepEqual([next.spawned, next.session === session], [true, false])
    assert.equal((await connect({ key: { ...key, tag: 'v2' } })).session, next.session)
  })

  test('whose claim was written by a master that died gets the claimed session from the next call', async () => {
    await template({ warm: 1 })
    const [warm = ''] = await pool(1)
    const removed = { name, revision: 0, removedAt: new Date(0).toISOString(), adopted: warm }
    await storage.create(KEY(name), removed)
    const got = await connect({ key, spawn: { env: { A: '1' } } }, other())
    assert.deepEqual([got.session, got.spawned], [warm, true])
    assert.equal((await connect({ key })).session, warm)
  })

  test('whose claimed session was taken by somebody else meanwhile gets another one', async () => {
    await template({ warm: 1 })
    const [warm = ''] = await pool(1)
    const quicker = firstLet(KEY(warm), () => connect({}, other()))
    const got = await connect({ key })
    assert.equal((await quicker).session, warm)
    assert.notEqual(got.session, warm)
    assert.equal((await connect({ key }, other())).session, got.session)
    assert.deepEqual((await sessions()).filter(one => one.key !== null).length, 1)
  })

  test('is claimed by one of two calls that each have chosen another session', async () => {
    await template({ warm: 2 })
    await pool(2)
    const quicker = firstLet(KEY(name), () => connect({ key }, other()))
    const slower = await connect({ key })
    assert.deepEqual([slower.session, slower.spawned, (await quicker).spawned], [(await quicker).session, false, true])
    assert.equal((await sessions()).filter(one => one.key !== null).length, 1)
  })

  test('that is made while another call claims it does not get two sessions', async () => {
    await template({ warm: 1 })
    await pool(1)
    // It has seen that the key is free, and chooses a node.
    const quicker = firstLet('nodes/n1.json', () => connect({ key }, other()), 'read')
    const slower = await connect({ key, spawn: { env: { A: '1' } } })
    assert.deepEqual([slower.session, slower.spawned], [(await quicker).session, false])
    assert.notEqual(slower.session, name)
    assert.equal((await sessions()).filter(one => one.key !== null).length, 1)
  })
})

describe('the master that fills pools', () => {
  test('dies: another one goes on, with what was made and not started', async () => {
    await template({ warm: 1 })
    const [warm = ''] = await pool(1)
    // As a master leaves it that dies before the session is ready.
    const document = await storage.get(KEY(warm))
    const value = document?.value as { session: Session }
    const session = { ...value.session, warm: { ...value.session.warm, ready: false } }
    const lease = await storage.get('sessions/filler.json')
    const until = new Date(clock.wall() + 15_000).toISOString()
    const dead = { lease: { node: 'dead', epoch: 99, until }, epoch: 99 }
    await storage.update('sessions/filler.json', dead, lease?.etag ?? '')
    await storage.update(KEY(warm), { ...value, session }, document?.etag ?? '')
    await Promise.all(masters.map(master => master[Symbol.asyncDispose]()))
    masters = [await testMaster(watched(), clock), await testMaster(watched(), clock)]
    await announce(node, 'n1')
    for (let second = 0; second < 10; second++) await clock.advance(1_000)
    assert.equal((await sessionOf(warm))?.warm?.ready, false, 'the lease of the dead one still counts')
    assert.deepEqual(await pool(1), [warm])
  })

  test('is one: two masters make no more than there shall be', async () => {
    await template({ warm: 3 })
    await pool(3)
    for (let second = 0; second < 30; second++) await clock.advance(1_000)
    assert.equal(node.calls.filter(call => call.startsWith('wakeInstance')).length, 3)
  })

  test('sets no timer without a template that has a pool', async () => {
    const alone = new HandClock()
    const changes = changeStream()
    const index = new SessionIndex()
    index.isWhole = true
    const rest = { log: silentLog, clock: alone } as never as ConstructorParameters<typeof WarmFiller>[0]
    const nodes = { list: async () => [], find: async () => undefined }
    const lease = new MasterLease({ storage, key: 'other.json', lastsMs: 15_000, clock: alone })
    const kept = { pools: async () => [] }
    using filler = new WarmFiller({ ...rest, kept, changes, index, nodes, lease })
    const over = new AbortController()
    const running = filler.run(over.signal)
    await alone.advance(10_000)
    assert.equal(alone.waiting, 0)
    await template({ warm: 1 })
    changes.changed({ ...(await admin().call('getApp', { params: { app: 'editor' } })), paused: PAUSED } as App)
    await alone.advance(10_000)
    assert.notEqual(alone.waiting, 0)
    over.abort()
    await running
  })
})

test('a warm session is not visited by its hostname', async () => {
  await template({ warm: 1 })
  const [warm = ''] = await pool(1)
  node.instances.push(instanceView(warm, 'n1', 'awake'))
  const hostname = `${warm.slice('editor--'.length)}.editor.localhost`
  const route = await admin().call('getHost', { params: { hostname } })
  assert.deepEqual([route.session?.visitors, route.session?.tokens], ['token', []])
})
