import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest'
import { isFailure } from '../../../lib/errors.ts'
import { Browser, type Seen } from '../../../testing/browser.ts'
import { HandClock } from '../../../testing/clock.ts'
import { freePort } from '../../../testing/free-port.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from '../../../testing/masters.ts'
import { type TestProvider, testOidcProvider } from '../../../testing/oidc-provider.ts'
import { directory } from '../../storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-oidc-'))
const clock = new HandClock()
const HOUR = 3_600_000
const PEOPLE = {
  ann: { email: 'Ann@example.com', email_verified: true },
  bob: { email: 'bob@example.com', email_verified: true, groups: ['writers', 'others'] },
  eve: { email: 'eve@example.com', email_verified: true, groups: ['others'] },
  mallory: { email: 'ann@example.com', email_verified: false },
}
const MAPPING = 'ann@example.com=admin; group:writers=owner:bob:bob-*,shared'
const settingsFor = ({ issuer, clientId, clientSecret }: Omit<TestProvider, 'person'>, port: number) => ({
  SHADOW_SECRETS_KEY: TEST_SECRETS_KEY,
  SHADOW_MASTER_LISTEN: `127.0.0.1:${port}`,
  SHADOW_OIDC_ISSUER: issuer,
  SHADOW_OIDC_NAME: 'Example',
  SHADOW_OIDC_CLIENT_ID: clientId,
  SHADOW_OIDC_CLIENT_SECRET: clientSecret,
  SHADOW_OIDC_PEOPLE: MAPPING,
})

let provider: TestProvider
let on: TestMaster
let browser: Browser
let atProvider: Browser
beforeAll(async () => {
  const port = await freePort()
  provider = await testOidcProvider(PEOPLE, [`http://127.0.0.1:${port}/v1/dashboard/oidc/callback`])
  on = await testMaster(await directory({ path }), clock, settingsFor(provider, port))
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await provider[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})
beforeEach(() => {
  browser = new Browser(on)
  const { port } = new URL(provider.issuer)
  atProvider = new Browser({ master: { port: Number(port) } as TestMaster['master'] })
})

const locationOf = ({ headers }: Seen): URL => new URL(String(headers['location']), on.master.url)

/** Follows the browser to the provider and through its pages, up to the address at which it comes back to the master. */
async function atCallback(query = ''): Promise<string> {
  const started = await browser.send('GET', `/v1/dashboard/oidc/start${query}`, { from: 'typed' })
  assert.equal(started.status, 303, started.text)
  let at = locationOf(started)
  while (at.origin === provider.issuer) {
    const answer = await atProvider.send('GET', `${at.pathname}${at.search}`, { from: 'typed' })
    assert.ok(answer.headers['location'] !== undefined, answer.text)
    at = new URL(String(answer.headers['location']), provider.issuer)
  }
  return `${at.pathname}${at.search}`
}

const LINKED = { from: 'program', headers: { 'sec-fetch-site': 'cross-site', accept: 'text/html' } } as const
const comeBack = (to: string): Promise<Seen> => browser.send('GET', to, LINKED)

async function signIn(person: keyof typeof PEOPLE, query?: string): Promise<Seen> {
  provider.person = person
  return comeBack(await atCallback(query))
}

test('the page is told that there is a provider', async () => {
  assert.deepEqual((await browser.send('GET', '/v1/dashboard/sign-in')).body, { oidc: { name: 'Example' } })
})

describe('a sign-in by OIDC', () => {
  test('makes a session of the admin for the person of that verified address, and leads to the page that was wanted', async () => {
    const back = await signIn('ann', '?page=/apps/blog%3Ftab=logs')
    assert.deepEqual([back.status, back.headers['location']], [303, '/apps/blog?tab=logs'])
    assert.match(browser.setCookies.at(-1)!, /^shadow_dashboard=.*; HttpOnly; SameSite=Strict; Max-Age=3600$/)
    const { body } = await browser.send('GET', '/v1/dashboard/session')
    const expiresAt = new Date(clock.wall() + HOUR).toISOString()
    const ann = { name: 'Ann@example.com', role: 'admin', apps: null, expiresAt, signedInBy: 'oidc' }
    assert.deepEqual(body, ann)
    assert.equal((await browser.send('GET', '/v1/nodes')).status, 200)
  })

  test('makes a session of an owner for a person of that group', async () => {
    await signIn('bob')
    const { body } = await browser.send('GET', '/v1/dashboard/session')
    assert.deepEqual([body['role'], body['apps'], body['name']], ['owner', ['bob-*', 'shared'], 'bob@example.com'])
    assert.equal((await browser.send('GET', '/v1/nodes')).status, 403)
    const token = { name: 'bob', role: 'owner', apps: ['bob-blog'] }
    assert.equal((await browser.send('POST', '/v1/tokens', { body: token })).status, 201)
    assert.equal((await browser.send('POST', '/v1/tokens', { body: { ...token, apps: ['ann-blog'] } })).status, 403)
  })

  for (const [person, says] of [
    ['eve', /eve@example\.com is not among those/],
    ['mallory', /mallory is not among those.*no e-mail address that it has verified/s],
  ] as const)
    test(`of ${person} is refused with a page that says so, and with 403`, async () => {
      const back = await signIn(person)
      assert.deepEqual([back.status, back.headers['x-shadow-error']], [403, 'forbidden'])
      assert.match(String(back.headers['content-security-policy']), /^default-src 'none'/)
      assert.match(back.text, says)
      assert.equal(browser.cookies.size, 0)
    })

  test('that the person declines is told', async () => {
    provider.person = undefined
    const back = await comeBack(await atCallback())
    assert.equal(back.status, 401)
    assert.match(back.text, /access_denied/)
  })

  test('is taken once, and never by another browser or with another state', async () => {
    provider.person = 'ann'
    const first = await atCallback()
    const cookie = browser.cookies.get('shadow_oidc')!
    assert.equal((await new Browser(on).send('GET', first, LINKED)).status, 401)
    const wrong = await comeBack(first.replace(/state=[^&]+/, 'state=guessed'))
    assert.deepEqual([wrong.status, browser.cookies.size], [401, 0])
    browser.cookies.set('shadow_oidc', cookie)
    assert.equal((await comeBack(first)).status, 303)
    browser.cookies.clear()
    assert.match((await comeBack(first)).text, /none is under way in this browser/)
    browser.cookies.set('shadow_oidc', cookie)
    const replayed = await comeBack(first)
    assert.equal(replayed.status, 401)
    assert.match(replayed.text, /invalid_grant/)
    assert.ok(!browser.cookies.has('shadow_dashboard'))
  })

  test('that takes longer than ten minutes is refused', async () => {
    provider.person = 'ann'
    const back = await atCallback()
    await clock.advance(600_000)
    assert.match((await comeBack(back)).text, /it took too long/)
  })

  for (const page of ['https://evil.example/', '//evil.example', '/\\evil.example', 'apps', '/%0d%0ax: y'])
    test(`leads to no other site: ${page}`, async () => {
      const { headers } = await signIn('ann', `?page=${encodeURIComponent(page)}`)
      assert.equal(new URL(String(headers['location']), on.master.url).origin, on.master.url)
      assert.equal(headers['x'], undefined)
    })
})

describe('a session by OIDC', () => {
  test('expires after an hour, however much it is used, and begins again without a question', async () => {
    await signIn('ann')
    await clock.advance(HOUR / 2)
    assert.equal((await browser.send('GET', '/v1/apps')).status, 200)
    await clock.advance(HOUR / 2)
    const { status, body } = await browser.send('GET', '/v1/apps')
    assert.deepEqual([status, body.facts], [401, { session: 'expired', signedInBy: 'oidc' }])
    const quiet = await comeBack(await atCallback('?quiet=true&page=/apps'))
    assert.deepEqual([quiet.status, quiet.headers['location']], [303, '/apps'])
    assert.equal((await browser.send('GET', '/v1/apps')).status, 200)
  })

  test('leads to the first page, signed out, if the provider would have to ask', async () => {
    await signIn('ann')
    atProvider.cookies.clear()
    const quiet = await comeBack(await atCallback('?quiet=true&page=/apps'))
    assert.deepEqual([quiet.status, quiet.headers['location']], [303, '/'])
    assert.deepEqual((await browser.send('GET', '/v1/dashboard/session')).body.facts, { session: 'none' })
  })

  test('ends its streams when it expires', async () => {
    await signIn('ann')
    const stream = await browser.open('GET', '/v1/changes')
    assert.equal(stream.status, 200)
    const ended = (async () => {
      for await (const _ of stream.body);
    })()
    await clock.advance(HOUR)
    await ended
  })

  test('is worth what the setting says of the person now, at every master', async () => {
    await signIn('ann')
    const store = await directory({ path })
    const settings = { ...settingsFor(provider, 0), SHADOW_OIDC_PEOPLE: 'bob@example.com=admin' }
    await using other = await testMaster(store, clock, settings)
    const there = new Browser(other, `127.0.0.1:${on.master.port}`)
    for (const [name, value] of browser.cookies) there.cookies.set(name, value)
    const { status, body } = await there.send('GET', '/v1/apps')
    assert.deepEqual([status, body['code']], [403, 'forbidden'])
  })

  test('makes no links, which stand for tokens', async () => {
    await signIn('ann')
    assert.equal((await browser.send('POST', '/v1/dashboard/links')).status, 403)
  })
})

test('while the provider is away nobody signs in by it, and a page says so', async () => {
  const gone = await testOidcProvider(PEOPLE, [])
  await gone[Symbol.asyncDispose]()
  await using away = await testMaster(await directory({ path }), clock, settingsFor(gone, 0))
  const { status, headers, text } = await new Browser(away).send('GET', '/v1/dashboard/oidc/start', { from: 'typed' })
  assert.deepEqual([status, headers['x-shadow-error']], [503, 'provider-unreachable'])
  assert.match(text, /does not answer/)
})

test('a master without OIDC says so', async () => {
  await using without = await testMaster(await directory({ path }), clock)
  assert.deepEqual((await new Browser(without).send('GET', '/v1/dashboard/sign-in')).body, { oidc: null })
  const { status, body } = await new Browser(without).send('GET', '/v1/dashboard/oidc/start')
  assert.deepEqual([status, body['code']], [404, 'not-found'])
})

for (const [what, changed, says] of [
  ['without people', { SHADOW_OIDC_PEOPLE: '' }, /go together/],
  ['with an issuer over http', { SHADOW_OIDC_ISSUER: 'http://id.example' }, /must be an https/],
  ['with an unknown role', { SHADOW_OIDC_PEOPLE: 'ann@example.com=root' }, /end it with =admin/],
  ['with nobody', { SHADOW_OIDC_PEOPLE: 'ann=admin' }, /begin it with/],
  ['with all apps', { SHADOW_OIDC_PEOPLE: 'ann@example.com=owner:ann:*' }, /use the role admin/],
  ['with a file that is not there', { SHADOW_OIDC_CLIENT_SECRET_FILE: '/no/such/file' }, /cannot be read/],
] as const)
  test(`a master does not start ${what}`, async () => {
    const settings = { ...settingsFor(provider, 0), ...changed }
    await assert.rejects(
      testMaster(await directory({ path }), clock, settings),
      error => isFailure(error, 'bad-input') && says.test(error.message),
    )
  })
