import assert from 'node:assert/strict'
import { afterAll, beforeAll, test } from 'vitest'
import { HandClock } from '../testing/clock.ts'
import { type FakeNode, fakeNode, instanceView } from '../testing/fake-node.ts'
import { anAnnouncement } from '../testing/front.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { memoryStorage } from '../testing/memory-storage.ts'
import { type SessionState, ShadowClient, ShadowFailure } from './main.ts'

let node: FakeNode
let on: TestMaster
let client: ShadowClient
const clock = new HandClock()
beforeAll(async () => {
  node = await fakeNode('n1')
  on = await testMaster(memoryStorage(), clock)
  const { address, key, controlKey } = node
  const n1 = await on.as('node', 'n1')
  await n1.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement({ address, key, controlKey }) })
  await on.admin.call('registerApp', { body: { name: 'editor', image: 'x', template: {} } })
  client = new ShadowClient({ url: on.master.url, token: await on.master.token('admin') })
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await node[Symbol.asyncDispose]()
})

const isFailure = (code: string) => (error: unknown) => error instanceof ShadowFailure && error.code === code

test('a session is connected to, shown, listed, and its tokens are revoked', async () => {
  const a = await client.connect({ template: 'editor', key: { name: 'a' }, user: 'ann' })
  assert.ok(a.spawned && a.token !== null && a.url.endsWith(`/${a.token}/`))
  assert.deepEqual((await client.get(a.session)).users, ['ann'])
  await client.connect({ template: 'editor', key: { name: 'b' } })
  const names = await Array.fromAsync(client.list('editor'), ({ session }) => session)
  assert.ok(names.includes(a.session) && names.length === 2)
  assert.equal(await client.revoke(a.session, 'ann'), 1)
  assert.equal((await client.end(a.session, 'hard')).end?.kind, 'hard')
})

test('a refusal has its code, status and hint; a master that is away is told as such', async () => {
  await assert.rejects(client.connect({ template: 'none' }), isFailure('app-not-found'))
  const wrong = new ShadowClient({ url: on.master.url, token: 'x'.repeat(40) })
  await assert.rejects(wrong.get('editor--aaaaaaaaaaaaaaaa'), isFailure('unauthorised'))
  const away = new ShadowClient({ url: 'http://127.0.0.1:1', token: 'x' })
  await assert.rejects(away.get('a'), isFailure('unreachable'))
})

test('the states of a session come in order, each once, until it has ended; a lost connection is opened again', async () => {
  const { session } = await client.connect({ template: 'editor', key: { name: 'followed' } })
  node.instances.push(instanceView(session, 'n1', 'awake'))
  let drops = 0
  const flaky = new ShadowClient({
    url: on.master.url,
    token: await on.master.token('admin'),
    fetch: async (...args) => {
      const response = await fetch(...args)
      if (drops++ > 0 || response.body === null) return response
      // The first connection ends after its first part.
      const { value } = await response.body.getReader().read()
      return new Response(value as Uint8Array<ArrayBuffer>, { headers: response.headers })
    },
  })
  const seen: SessionState[] = []
  // Masters look by their clock.
  const ticking = setInterval(() => void clock.advance(100), 10)
  for await (const { state, end } of flaky.status(session)) {
    seen.push(state)
    if (state === 'ready') void client.end(session)
    if (state === 'ended') assert.equal(end?.reason, 'asked')
  }
  clearInterval(ticking)
  assert.deepEqual(
    seen.filter(state => state !== 'ending'),
    ['scheduled', 'loading', 'starting', 'waiting', 'ready', 'ended'],
  )
  assert.ok(drops > 1, 'it was opened again')
})
