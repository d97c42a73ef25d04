import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, test } from 'vitest'
import { asShadowError, isFailure } from '../../lib/errors.ts'
import { HandClock } from '../../testing/clock.ts'
import { type FakeNode, fakeNode } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'

let node: FakeNode
let master: TestMaster
let auth: Server
let requests: IncomingMessage[]
/** Who may connect, by cookie. */
const USERS: Record<string, string> = { 'sid=ann': 'ann', 'sid=nobody': '' }
beforeEach(async () => {
  requests = []
  auth = createServer((request, response) => {
    requests.push(request)
    const user = USERS[request.headers.cookie ?? '']
    if (user === undefined) response.writeHead(302, { location: '/sign-in' })
    else if (user !== '') response.setHeader('x-verified-user', user)
    response.end()
  })
  await new Promise<void>(resolve => auth.listen(0, '127.0.0.1', resolve))
  node = await fakeNode('n1')
  master = await testMaster(memoryStorage(), new HandClock())
  const { address, key, controlKey } = node
  const n1 = await master.as('node', 'n1')
  await n1.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement({ address, key, controlKey }) })
  const authUrl = `http://127.0.0.1:${(auth.address() as AddressInfo).port}/auth`
  await master.admin.call('registerApp', { body: { name: 'editor', image: 'x', template: { authUrl } } })
})
afterEach(async () => {
  await master[Symbol.asyncDispose]()
  await node[Symbol.asyncDispose]()
  auth.closeAllConnections()
  auth.close()
})

const connect = (more: object) =>
  master.admin.call('connectSession', { body: { template: 'editor', key: { name: 'ä' }, ...more } })
const sessions = async () => (await master.admin.call('listSessions', { query: {} })).items

test('a visitor that is passed on is asked about, and is who the URL says', async () => {
  const headers = { Cookie: 'sid=ann', authorization: 'Basic x', 'X-Other': 'kept here' }
  const got = await connect({ user: 'claimed', auth: { a: 1 }, visitor: { headers, address: '192.0.2.7' } })
  assert.deepEqual([got.users, got.spawned], [['ann'], true])
  const [asked] = requests
  assert.deepEqual(
    [asked?.method, asked?.url, asked?.headers['authorization'], asked?.headers['x-other']],
    ['GET', '/auth', 'Basic x', undefined],
  )
  assert.deepEqual(
    [asked?.headers['x-forwarded-uri'], asked?.headers['x-forwarded-host'], asked?.headers['x-forwarded-for']],
    ['/v1/connect', 'editor.localhost', '192.0.2.7'],
  )
  assert.deepEqual(JSON.parse(String(asked?.headers['x-shadow-connect'])), {
    template: 'editor',
    key: { name: 'ä', namespace: '' },
    user: 'claimed',
    auth: { a: 1 },
  })
  const again = await connect({ user: 'bob', visitor: { headers: { cookie: 'sid=nobody' } } })
  assert.deepEqual(again.users, ['ann', 'bob'], 'where the URL names nobody, the caller does')
})

test('a visitor that is refused gets no session, and the status of the answer is told', async () => {
  const refused = await connect({ visitor: { headers: {} } }).catch(asShadowError)
  assert.ok(isFailure(refused, 'connect-refused'))
  assert.deepEqual([refused.status, refused.details.facts], [403, { status: 302 }])
  assert.deepEqual(await sessions(), [])
  assert.ok(!node.calls.some(call => call.startsWith('wakeInstance')))
})

test('where the URL does not answer, nothing is left behind', async () => {
  auth.closeAllConnections()
  await new Promise(resolve => auth.close(resolve))
  const failed = await connect({ visitor: { headers: { cookie: 'sid=ann' } } }).catch(asShadowError)
  assert.ok(isFailure(failed, 'auth-unreachable'))
  assert.equal(failed.status, 503)
  assert.deepEqual(await sessions(), [])
})

test('a caller that passes no visitor on vouches for the user itself; a header cannot be broken into two', async () => {
  assert.deepEqual((await connect({ user: 'bob' })).users, ['bob'])
  assert.equal(requests.length, 0)
  const visitor = { headers: { cookie: 'a\r\nX-Verified-User: root' } }
  await assert.rejects(connect({ visitor }), error => isFailure(error, 'bad-input'))
  assert.equal(requests.length, 0)
})
