import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { Shadow } from '../tools/shadow.ts'
import { NAVIGATION } from '../tools/visitor.ts'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
  await shadow.register('editor', { template: {}, sleep: { idleAfter: '1h' } } as object)
})
afterAll(() => shadow[Symbol.asyncDispose]())

/** Connects to the session with the key. `host` and `path` are those of its link. */
async function connect(key: string, more: object = {}, template = 'editor') {
  const body = { template, key: { name: key }, ...more }
  const got = await shadow.admin.call('connectSession', { body })
  const { host, pathname: path } = new URL(got.url)
  return { ...got, host, path }
}

/** The headers that the app of a session has got, by their names in lower case. */
async function headersOf(host: string, path: string, headers = {}): Promise<Record<string, string>> {
  const { status, json } = await shadow.ask(host, path, { headers })
  assert.equal(status, 200)
  const { raw } = json as { raw: string[] }
  return Object.fromEntries(raw.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), raw[at + 1] ?? '']] : [])))
}

describe('a session', () => {
  test('is visited by its link, then by the cookie, and its app is told who visits', async () => {
    const { session, host, path } = await connect('notes', { user: 'ann', auth: { may: 'write' } })
    const fakes = { 'x-verified-user': 'eve', 'x-shadow-session': 'eve' }
    const byLink = await headersOf(host, `${path}headers`, fakes)
    assert.deepEqual(
      ['x-verified-user', 'x-verified-auth', 'x-verified-path', 'x-shadow-session'].map(name => byLink[name]),
      ['ann', '{"may":"write"}', `${path}headers`, session],
    )
    const page = await shadow.ask(host, path, { headers: NAVIGATION })
    assert.equal(page.status, 200)
    const [cookie = ''] = page.headers['set-cookie'] ?? []
    assert.match(cookie, /^shadow_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/)
    const byCookie = await headersOf(host, '/headers', { cookie: `a=1; ${cookie.split(';')[0]}` })
    assert.deepEqual([byCookie['x-verified-user'], byCookie['cookie']], ['ann', 'a=1'])
  })

  test('refuses strangers without asking its node, and its template has nothing to visit', async () => {
    const { host, session } = await connect('notes')
    const asked = async (at: string, path: string) => {
      const { status, headers } = await shadow.ask(at, path)
      return [status, headers['x-shadow-error']]
    }
    const { requests } = (await shadow.ask(host, (await connect('notes')).path)).json
    assert.deepEqual(await asked(host, '/'), [401, 'token-missing'])
    assert.deepEqual(await asked(host, `/${'x'.repeat(43)}/`), [403, 'token-refused'])
    assert.deepEqual(await asked('editor', '/'), [404, 'is-template'])
    assert.deepEqual(await shadow.containers('editor'), [])
    assert.equal((await shadow.ask(host, (await connect('notes')).path)).json.requests, requests + 1)
    assert.equal((await shadow.containers(session)).length, 1)
  })

  test('is seen by pages of other origins, which show the token', async () => {
    const { host, path, session } = await connect('notes')
    const { status, headers, json } = await shadow.ask(host, `${path}.shadow/session`, {
      headers: { origin: 'https://elsewhere.example' },
    })
    assert.deepEqual([status, headers['access-control-allow-origin']], [200, '*'])
    assert.deepEqual([json.session, json.template, json.state], [session, 'editor', 'ready'])
    const refused = await shadow.ask(host, '/.shadow/session')
    assert.deepEqual([refused.status, refused.headers['access-control-allow-origin']], [401, '*'])
  })

  test('closes the WebSockets of a token that is revoked, and those of another user stay', async () => {
    const [ann, bob] = [await connect('room', { user: 'ann' }), await connect('room', { user: 'bob' })]
    const anns = await shadow.webSocket(ann.host, `${ann.path}live`)
    const bobs = await shadow.webSocket(bob.host, `${bob.path}live`)
    const closed = once(anns, 'close')
    const params = { app: ann.session }
    assert.equal((await shadow.admin.call('revokeTokens', { params, body: { user: 'ann' } })).revoked, 1)
    await shadow.eventually(async () => (await shadow.ask(ann.host, ann.path)).status === 403)
    shadow.clock.leap(1_000)
    await closed
    const echoed = once(bobs, 'message')
    bobs.send('still here')
    assert.equal(String((await echoed)[0]), 'still here')
    bobs.terminate()
  })

  test('takes nobody once it has been ended', async () => {
    const { host, path, session } = await connect('short')
    assert.equal((await shadow.ask(host, path)).status, 200)
    await shadow.admin.call('endSession', { params: { session }, query: { kind: 'hard' } })
    await shadow.eventually(async () => (await shadow.ask(host, path)).status === 404)
  })
})

test('a template with a URL for visitors admits those whom that URL admits', async () => {
  const auth = createServer(({ headers }, response) => {
    if (headers.cookie !== 'login=carl') response.writeHead(302, { location: 'https://login.example/' }).end()
    else response.setHeader('X-Verified-User', 'carl').end()
  }).listen(0, '127.0.0.1')
  await once(auth, 'listening')
  const authUrl = `http://127.0.0.1:${(auth.address() as AddressInfo).port}/`
  await shadow.register('desk', { template: { authUrl } } as object)
  const { host } = await connect('one', {}, 'desk')
  const stranger = await shadow.ask(host, '/')
  assert.deepEqual([stranger.status, stranger.headers.location], [302, 'https://login.example/'])
  assert.equal((await headersOf(host, '/headers', { cookie: 'login=carl' }))['x-verified-user'], 'carl')
  auth.close()
})
