import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { Browser, type From } from '../../testing/browser.ts'
import { HandClock } from '../../testing/clock.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from '../../testing/masters.ts'
import { directory } from '../storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-dashboard-'))
const clock = new HandClock()
const MINUTE = 60_000
// Short, since the clock runs every timer of both masters on its way.
const settings = { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_DASHBOARD_SESSION: '12m' }
let on: TestMaster
let other: TestMaster
beforeAll(async () => {
  on = await testMaster(await directory({ path }), clock, settings)
  other = await testMaster(await directory({ path }), clock, settings)
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

let browser: Browser
beforeEach(() => {
  browser = new Browser(on)
})

const make = (name: string, apps?: string[]) =>
  on.admin.call('createToken', { body: { name, role: apps === undefined ? 'admin' : 'owner', ...(apps && { apps }) } })

async function signedIn(name: string, apps?: string[]): Promise<{ id: string; token: string }> {
  const made = await make(name, apps)
  const { status } = await browser.send('POST', '/v1/dashboard/session', { body: { token: made.token } })
  assert.equal(status, 201)
  return made
}

describe('a session by a token', () => {
  test('is a cookie for this host alone, which no script reads, without the token in it', async () => {
    const { token } = await signedIn('ann')
    const [line = ''] = browser.setCookies
    const [, value = '', flags] = /^shadow_dashboard=([^;]+); (.*)$/.exec(line) ?? []
    assert.equal(flags, 'Path=/; HttpOnly; SameSite=Strict; Max-Age=720')
    assert.ok(!value.includes(token) && !Buffer.from(value, 'base64url').includes(token))
  })

  test('tells who is signed in, and until when', async () => {
    await signedIn('ann')
    const { status, body } = await browser.send('GET', '/v1/dashboard/session')
    const expiresAt = new Date(clock.wall() + 12 * MINUTE).toISOString()
    assert.deepEqual([status, body], [200, { name: 'ann', role: 'admin', apps: null, expiresAt, signedInBy: 'token' }])
  })

  test('is good at any master of the store under the same host, and at no other host', async () => {
    await signedIn('ann')
    const there = new Browser(other, `127.0.0.1:${on.master.port}`)
    for (const [name, value] of browser.cookies) there.cookies.set(name, value)
    assert.equal((await there.send('GET', '/v1/apps')).status, 200)
    const elsewhere = new Browser(on, `localhost:${on.master.port}`)
    for (const [name, value] of browser.cookies) elsewhere.cookies.set(name, value)
    const { status, body } = await elsewhere.send('GET', '/v1/apps')
    assert.deepEqual([status, body['code'], body.facts], [401, 'unauthorised', { session: 'unreadable' }])
  })

  test('has the scope of its token, as an owner has', async () => {
    await on.admin.call('registerApp', { body: { name: 'ann-blog', image: 'x' } })
    await on.admin.call('registerApp', { body: { name: 'bob-blog', image: 'x' } })
    await signedIn('ann', ['ann-*'])
    const { body } = await browser.send('GET', '/v1/dashboard/session')
    assert.deepEqual([body['role'], body['apps']], ['owner', ['ann-*']])
    const apps = (await browser.send('GET', '/v1/apps')).body['items'] as { name: string }[]
    assert.deepEqual(
      apps.map(({ name }) => name),
      ['ann-blog'],
    )
    assert.equal((await browser.send('GET', '/v1/apps/bob-blog')).status, 403)
    assert.equal((await browser.send('GET', '/v1/nodes')).status, 403)
  })

  test('is renewed while it is used, and has expired when it was not', async () => {
    await signedIn('ann')
    for (let minutes = 0; minutes < 20; minutes += 10) {
      await clock.advance(10 * MINUTE)
      assert.equal((await browser.send('GET', '/v1/apps')).status, 200)
    }
    assert.equal(browser.setCookies.length, 3)
    await browser.send('GET', '/v1/apps')
    assert.equal(browser.setCookies.length, 3)
    await clock.advance(12 * MINUTE)
    const { status, body } = await browser.send('GET', '/v1/apps')
    assert.deepEqual([status, body['code'], body.facts], [401, 'unauthorised', { session: 'expired' }])
  })

  test('ends at once with its token, and so do its streams, also when another master revokes it', async () => {
    const { id } = await signedIn('ann')
    const stream = await browser.open('GET', '/v1/changes')
    assert.equal(stream.status, 200)
    const ended = (async () => {
      for await (const _ of stream.body);
    })()
    await other.admin.call('removeToken', { params: { token: id } })
    await clock.advance(30_000)
    await ended
    const { status, body } = await browser.send('GET', '/v1/apps')
    assert.deepEqual([status, body['code'], body.facts], [401, 'unauthorised', { session: 'revoked' }])
  })

  test('ends its streams when it expires', async () => {
    await signedIn('ann')
    const stream = await browser.open('GET', '/v1/changes')
    const ended = (async () => {
      for await (const _ of stream.body);
    })()
    await clock.advance(12 * MINUTE)
    await ended
  })

  test('ends when the person signs out, also if it has expired already', async () => {
    await signedIn('ann')
    await clock.advance(13 * MINUTE)
    assert.equal((await browser.send('DELETE', '/v1/dashboard/session')).status, 204)
    assert.equal(browser.cookies.size, 0)
    const { status, body } = await browser.send('GET', '/v1/dashboard/session')
    assert.deepEqual([status, body.facts], [401, { session: 'none' }])
  })

  test('is not begun by a token of a machine', async () => {
    const token = await on.master.token('proxy')
    const { status, body } = await browser.send('POST', '/v1/dashboard/session', { body: { token } })
    assert.deepEqual([status, body['code'], browser.cookies.size], [403, 'forbidden', 0])
  })

  test('is refused with a cookie that somebody else has made', async () => {
    browser.cookies.set('shadow_dashboard', 'v1.0000000000000000.AAAA')
    const { status, body } = await browser.send('GET', '/v1/apps')
    assert.deepEqual([status, body['code'], body.facts], [401, 'unauthorised', { session: 'unreadable' }])
  })

  test('is no login to the image registry', async () => {
    await signedIn('ann')
    assert.equal((await browser.send('GET', '/v2/')).status, 401)
  })
})

test('after ten wrong tokens within a minute an address waits, and no other', async () => {
  await using fresh = await testMaster(await directory({ path }), clock)
  const guess = () => new Browser(fresh).send('POST', '/v1/dashboard/session', { body: { token: 'shadow_guess' } })
  for (let tries = 0; tries < 10; tries++) assert.equal((await guess()).status, 401)
  const { status, body, headers } = await guess()
  assert.deepEqual([status, body['code'], headers['retry-after']], [429, 'rate-limited', '60'])
  await clock.advance(60_000)
  assert.equal((await guess()).status, 401)
})

describe('where a request with the cookie comes from', () => {
  const cases: [From, get: number, post: number][] = [
    ['own page', 200, 201],
    ['typed', 200, 403],
    ['sibling', 403, 403],
    ['foreign', 403, 403],
    ['old browser', 200, 201],
    ['program', 200, 403],
  ]
  for (const [from, get, post] of cases)
    test(`${from}: GET ${get}, POST ${post}`, async () => {
      await signedIn('ann')
      const body = { name: `t-${from}`, role: 'admin' }
      const answers = [
        await browser.send('GET', '/v1/apps', { from }),
        await browser.send('POST', '/v1/tokens', { from, body }),
      ]
      assert.deepEqual(
        answers.map(({ status }) => status),
        [get, post],
        answers[1]?.text,
      )
      const { items } = await on.admin.call('listTokens', {})
      assert.equal(
        items.some(({ name }) => name === body.name),
        post === 201,
      )
    })

  for (const [what, headers] of [
    ['another port', { origin: 'http://127.0.0.1:1' }],
    ['another scheme', (host: string) => ({ origin: `https://${host}` })],
    ['an opaque origin', { origin: 'null' }],
    ['two origins', (host: string) => ({ origin: `http://${host}, http://evil.example` })],
    ['the own site with a foreign origin', { 'sec-fetch-site': 'same-origin', origin: 'http://evil.example' }],
    ['an unknown site', { 'sec-fetch-site': 'sometimes' }],
  ] as const)
    test(`${what} is refused`, async () => {
      await signedIn('ann')
      const given = typeof headers === 'function' ? headers(`127.0.0.1:${on.master.port}`) : headers
      for (const method of ['GET', 'DELETE']) {
        const { status, body } = await browser.send(method, '/v1/apps/nothing', { from: 'program', headers: given })
        assert.deepEqual([status, body['code']], [403, 'forbidden'], method)
      }
    })

  test('a page of another origin signs nobody in or out', async () => {
    const { token } = await make('eve')
    for (const from of ['sibling', 'foreign', 'program'] as const) {
      const { status } = await browser.send('POST', '/v1/dashboard/session', { from, body: { token } })
      assert.equal(status, 403, from)
    }
    await signedIn('ann')
    assert.equal((await browser.send('DELETE', '/v1/dashboard/session', { from: 'sibling' })).status, 403)
    assert.equal(browser.cookies.size, 1)
  })

  test('a token in the header counts, whatever the cookie and the origin', async () => {
    const { token } = await make('program')
    browser.cookies.set('shadow_dashboard', 'broken')
    const headers = { authorization: `Bearer ${token}` }
    assert.equal((await browser.send('GET', '/v1/apps', { from: 'foreign', headers })).status, 200)
  })

  test('nobody signs in over plain HTTP but on this machine, or where the setting says so', async () => {
    const { token } = await make('ann')
    const send = (host: string, master = on, headers = {}) =>
      new Browser(master, host).send('POST', '/v1/dashboard/session', { body: { token }, headers })
    for (const host of [
      'rebound.example:8080',
      '10.0.0.1:8080',
      'blog.localhost',
      '127.0.0.1.evil.example',
      'evil.example@127.0.0.1',
      '127.0.0.1:1@evil.example',
      '127.0.0.1/evil.example',
    ])
      assert.equal((await send(host)).status, 403, host)
    assert.equal((await send('localhost:8080')).status, 201)
    const settings = { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_DASHBOARD_URL: 'https://dash.example' }
    await using behind = await testMaster(await directory({ path }), clock, settings)
    assert.equal((await send('dash.example', behind)).status, 403) // its origin is http
    const through = new Browser(behind, 'dash.example')
    const headers = { origin: 'https://dash.example' }
    assert.equal((await through.send('POST', '/v1/dashboard/session', { body: { token }, headers })).status, 201)
    assert.match(through.setCookies[0]!, /^__Host-shadow_dashboard=.*; Secure$/)
    assert.equal((await through.send('GET', '/v1/apps')).status, 200)
    const withPort = new Browser(behind, 'dash.example:443')
    assert.equal((await withPort.send('POST', '/v1/dashboard/session', { body: { token }, headers })).status, 201)
  })

  test('a proxy that does not pass the Host is noticed at the sign-in', async () => {
    const { token } = await make('ann')
    const headers = { origin: 'https://dash.example' }
    const { status, body } = await browser.send('POST', '/v1/dashboard/session', { body: { token }, headers })
    assert.equal(status, 403)
    assert.match(String(body['hint']), /proxy in front has to pass the Host/)
  })

  test('the address of the dashboard has no path', async () => {
    const settings = { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_DASHBOARD_URL: 'https://dash.example/shadow' }
    await assert.rejects(
      testMaster(await directory({ path }), clock, settings),
      error => isFailure(error, 'bad-input') && /has a path/.test(error.message),
    )
  })
})
