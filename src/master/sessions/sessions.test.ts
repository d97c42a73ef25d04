import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { HandClock } from '../../testing/clock.ts'
import { type FakeNode, fakeNode, instanceView } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'

let node: FakeNode
let masters: TestMaster[]
let clock: HandClock
beforeEach(async () => {
  clock = new HandClock()
  node = await fakeNode('n1')
  const storage = memoryStorage()
  masters = [await testMaster(storage, clock), await testMaster(storage, clock)]
  const { address, key, controlKey } = node
  const n1 = await one().as('node', 'n1')
  await n1.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement({ address, key, controlKey }) })
  await admin().call('registerApp', {
    body: { name: 'editor', image: 'x', env: { A: 'of the template' }, template: {} },
  })
})
afterEach(async () => {
  await Promise.all(masters.map(master => master[Symbol.asyncDispose]()))
  await node[Symbol.asyncDispose]()
})

const one = (): TestMaster => masters[0] as TestMaster
const admin = (): MasterClient => one().admin
const key = (name: string, tag?: string) => ({ name, ...(tag !== undefined && { tag }) })
const connect = (more: object = {}, by = admin()) =>
  by.call('connectSession', { body: { template: 'editor', ...more } })
const isCode = (code: ShadowError['code']) => (error: unknown) => isFailure(error, code)
/** The node says that it runs there. */
const runs = (session: string): void => void node.instances.push(instanceView(session, 'n1', 'awake'))

describe('connect', () => {
  test('makes a session with a hostname, a token and the variables of both, and gives the same one for the same key', async () => {
    const first = await connect({ key: key('a'), spawn: { env: { B: 'own' } }, user: 'ann' })
    assert.match(first.session, /^editor--[a-z2-7]{16}$/)
    assert.deepEqual([first.spawned, first.users, first.node], [true, ['ann'], 'n1'])
    const slot = first.session.slice('editor--'.length)
    assert.equal(first.url, `https://${slot}.editor.localhost/${first.token}/`)
    const { task, session } = await admin().call('getApp', { params: { app: first.session } })
    assert.deepEqual(task.env, { A: 'of the template', B: 'own' })
    assert.ok(!JSON.stringify(session).includes(first.token ?? 'none'), 'the token itself is stored nowhere')
    runs(first.session)
    const again = await connect({ key: key('a'), user: 'bob' })
    assert.deepEqual(
      [again.session, again.spawned, again.state, again.users],
      [first.session, false, 'ready', ['ann', 'bob']],
    )
    assert.notEqual(again.token, first.token)
    assert.deepEqual(
      node.calls.filter(call => call.startsWith('keepInstance')),
      [`keepInstance ${first.session}`],
      'to connect is to use it',
    )
    assert.notEqual((await connect({ key: key('b') })).session, first.session)
    assert.notEqual((await connect({ key: { name: 'a', namespace: 'other' } })).session, first.session)
  })

  test('of fifty calls at once, over two masters, one makes it, and all get it', async () => {
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, index) => connect({ key: key('doc') }, masters[index % 2]?.admin)),
    )
    assert.equal(new Set(all.map(({ session }) => session)).size, 1)
    assert.equal(all.filter(({ spawned }) => spawned).length, 1)
    assert.equal(new Set(all.map(({ token }) => token)).size, 50)
    assert.equal(node.calls.filter(call => call.startsWith('wakeInstance')).length, 1)
  })

  test('to a session that everybody may visit writes nothing, unless it is to live longer', async () => {
    await admin().call('setTemplate', { params: { app: 'editor' }, body: { visitors: 'all' } })
    const { session, token } = await connect({ key: key('a'), spawn: { idle: '3s' } })
    assert.equal(token, null)
    const updatedAt = async () => (await admin().call('getApp', { params: { app: session } })).updatedAt
    const first = await updatedAt()
    await connect({ key: key('a'), spawn: { idle: '2s' } })
    assert.equal(await updatedAt(), first)
    await connect({ key: key('a'), spawn: { idle: '4s' } })
    assert.notEqual(await updatedAt(), first)
  })

  test('without a key makes a new one each time; with spawn null it makes none', async () => {
    assert.notEqual((await connect()).session, (await connect()).session)
    await assert.rejects(connect({ key: key('none'), spawn: null }), isCode('session-not-found'))
  })

  test('with another tag is a conflict, until the session has ended', async () => {
    const { session } = await connect({ key: key('a', 'v1') })
    await assert.rejects(connect({ key: key('a', 'v2') }), isCode('tag-conflict'))
    await assert.rejects(connect({ key: key('a') }), isCode('tag-conflict'))
    await admin().call('endSession', { params: { session } })
    assert.equal((await connect({ key: key('a', 'v2') })).spawned, true)
  })

  test('without a node, or where the app does not start, fails with the reason and leaves nothing behind', async () => {
    node.failures.set('wakeInstance', new ShadowError('app-crashed', 'it ended with exit code 3'))
    await assert.rejects(connect({ key: key('a') }), isCode('app-crashed'))
    node.failures.clear()
    assert.deepEqual((await admin().call('listSessions', { query: {} })).items, [])
    assert.equal((await connect({ key: key('a') })).spawned, true)
    await admin().call('cordonNode', { params: { node: 'n1' } })
    await assert.rejects(connect({ key: key('c') }), isCode('no-node'))
    await assert.rejects(connect({ key: key('c'), spawn: null }), isCode('session-not-found'))
  })

  test('waits for an instance that stops, and has its token written once, however long that takes', async () => {
    const first = await connect({ key: key('a') })
    const stopping = instanceView(first.session, 'n1', 'stopping')
    node.instances.push(stopping)
    const asked = (): number => node.calls.filter(call => call.startsWith('getInstance')).length
    const before = asked()
    const again = connect({ key: key('a') })
    while (asked() < before + 4) await new Promise(resolve => setTimeout(resolve, 5))
    node.instances.splice(0, 1, { ...stopping, phase: 'awake' })
    assert.equal((await again).spawned, false)
    const { session } = await admin().call('getApp', { params: { app: first.session } })
    assert.equal(session?.tokens.length, 2)
  })

  test('has a limit for each template', async () => {
    await admin().call('setTemplate', { params: { app: 'editor' }, body: { most: 1 } })
    await connect({ key: key('a') })
    await assert.rejects(connect({ key: key('b') }), isCode('sessions-full'))
    assert.equal((await connect({ key: key('a') })).spawned, false)
  })

  test('of an app that is no template, and a registration under the name of a session, are refused', async () => {
    await admin().call('registerApp', { body: { name: 'blog', image: 'x' } })
    await assert.rejects(connect({ template: 'blog' }), isCode('bad-input'))
    const body = { name: `editor--${'a'.repeat(16)}`, image: 'x' }
    await assert.rejects(admin().call('registerApp', { body }), isCode('bad-input'))
  })
})

describe('a session', () => {
  test('is found by its hostname, with its tokens and its node; a template is not placed there', async () => {
    const { session, node: at } = await connect({ key: key('a'), user: 'ann' })
    const hostname = `${session.slice('editor--'.length)}.editor.localhost`
    const route = await admin().call('getHost', { params: { hostname } })
    assert.deepEqual(
      [route.name, route.session?.tokens.map(({ user }) => user), route.needs.home],
      [session, ['ann'], at],
    )
    await assert.rejects(
      admin().call('getHost', { params: { hostname: `${'a'.repeat(16)}.editor.localhost` } }),
      isCode('host-unknown'),
    )
  })

  test('ends when it is asked to, says how it ended, and takes no visitor from then on', async () => {
    const { session } = await connect({ key: key('a') })
    const ended = await admin().call('endSession', { params: { session }, query: { kind: 'hard' } })
    assert.deepEqual([ended.state, ended.end?.reason, ended.end?.kind], ['ended', 'asked', 'hard'])
    assert.deepEqual(await admin().call('getSession', { params: { session } }), ended)
    assert.deepEqual(await admin().call('endSession', { params: { session } }), ended, 'it has ended already')
    await assert.rejects(admin().call('getApp', { params: { app: session } }), isCode('app-not-found'))
    await assert.rejects(
      admin().call('getSession', { params: { session: `editor--${'b'.repeat(16)}` } }),
      isCode('session-not-found'),
    )
  })

  test('ends when its lifetime is over, by whichever master', async () => {
    const { session, until } = await connect({ key: key('a'), spawn: { lifetime: '5s' } })
    runs(session)
    assert.equal(until, new Date(clock.wall() + 5_000).toISOString())
    await clock.advance(4_999)
    assert.equal((await admin().call('getSession', { params: { session } })).state, 'ready')
    const at = await untilEnded(session, 'lifetime')
    assert.ok(at >= Date.parse(until ?? '') && at < Date.parse(until ?? '') + 1_000, 'to the second')
  })

  test('that is being stopped is removed once it has stopped, whatever is told of it meanwhile', async () => {
    const { session } = await connect({ key: key('a') })
    node.failures.set('sleepInstance', new ShadowError('node-unreachable', 'it does not answer yet'))
    await assert.rejects(admin().call('endSession', { params: { session } }), isCode('node-unreachable'))
    const { permit, createdAt } = await admin().call('getHost', {
      params: { hostname: `${session.slice('editor--'.length)}.editor.localhost` },
    })
    const n1 = await one().as('node', 'n1')
    const tell = () =>
      n1.call('sessionEnded', {
        params: { session },
        body: { reason: 'crashed', createdAt },
        headers: { 'x-shadow-permit': permit },
      })
    await assert.rejects(tell(), isCode('node-unreachable'))
    assert.equal((await admin().call('getSession', { params: { session } })).state, 'ending')
    node.failures.clear()
    await tell()
    assert.equal((await admin().call('getSession', { params: { session } })).end?.reason, 'asked')
  })

  test('ends when its node tells so, with its exit code', async () => {
    const { session } = await connect({ key: key('a') })
    const { permit } = await admin().call('getHost', {
      params: { hostname: `${session.slice('editor--'.length)}.editor.localhost` },
    })
    const n1 = await one().as('node', 'n1')
    const { createdAt } = await admin().call('getApp', { params: { app: session } })
    const call = { params: { session }, body: { createdAt, reason: 'crashed' as const, exitCode: 3 } }
    await assert.rejects(n1.call('sessionEnded', call), isCode('forbidden'))
    const headers = { 'x-shadow-permit': permit }
    const ofEarlier = { ...call, headers, body: { ...call.body, createdAt: '2020-01-01T00:00:00.000Z' } }
    await assert.rejects(n1.call('sessionEnded', ofEarlier), isCode('session-not-found'))
    await n1.call('sessionEnded', { ...call, headers })
    const { state, end } = await admin().call('getSession', { params: { session } })
    assert.deepEqual([state, end?.reason, end?.exitCode], ['ended', 'crashed', 3])
  })

  test('is not there for another node than its own, which may have had an earlier one by its name', async () => {
    const { session } = await connect({ key: key('a') })
    const read = async (name: string) => {
      const client = await one().as('node', name)
      return client.call('getApp', { params: { app: session }, headers: { 'x-shadow-permit': 'of an earlier one' } })
    }
    await assert.rejects(read('n2'), isCode('app-not-found'))
    await assert.rejects(read('n1'), isCode('forbidden'))
  })

  test('has its tokens revoked by user, alone or with all of its template', async () => {
    const a = await connect({ key: key('a'), user: 'ann' })
    await connect({ key: key('a'), user: 'bob' })
    const b = await connect({ key: key('b'), user: 'ann' })
    const revoke = (app: string, user: string) => admin().call('revokeTokens', { params: { app }, body: { user } })
    assert.deepEqual(await revoke(a.session, 'bob'), { revoked: 1 })
    assert.deepEqual(await revoke('editor', 'ann'), { revoked: 2 })
    assert.deepEqual((await admin().call('getSession', { params: { session: b.session } })).users, [])
  })
})

/** Resolves when it has ended for this reason: masters end sessions behind their looks. */
async function untilEnded(session: string, reason: string): Promise<number> {
  for (;;) {
    const { state, end } = await admin().call('getSession', { params: { session } })
    if (state === 'ended') {
      assert.equal(end?.reason, reason)
      return Date.parse(end?.at ?? '')
    }
    await clock.advance(250)
  }
}
