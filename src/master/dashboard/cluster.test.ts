import assert from 'node:assert/strict'
import type { RequestOptions } from 'node:https'
import { afterAll, beforeAll, beforeEach, test } from 'vitest'
import { joinCluster } from '../../api/join.ts'
import { joinToken } from '../../api/join-token.ts'
import { Seals, sealKeys } from '../../lib/seals.ts'
import { MASTER_HOST, MEMBER_ROLES } from '../../model/member.ts'
import { Browser } from '../../testing/browser.ts'
import { HandClock } from '../../testing/clock.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from '../../testing/masters.ts'
import { initCluster } from '../cluster/authority.ts'
import { directory } from '../storage/directory.ts'

const clock = new HandClock(Date.now())
const path = temporaryFolder('shadow-test-dashboard-cluster-')
let on: TestMaster
let token: string
beforeAll(async () => {
  const storage = await directory({ path })
  const seals = new Seals(sealKeys(TEST_SECRETS_KEY))
  await initCluster({ storage, seals, clock, url: 'https://shadow.example.com:8080' })
  await storage.close()
  on = await testMaster(await directory({ path }), clock)
  token = (await on.admin.call('createToken', { body: { name: 'ann', role: 'admin' } })).token
})
afterAll(() => on[Symbol.asyncDispose]())

const at = (options: RequestOptions = {}): Browser =>
  new Browser(on, 'shadow.example.com:8080', { ca: on.master.ca, servername: MASTER_HOST, ...options })
let browser: Browser
beforeEach(() => {
  browser = at()
})

/** A browser that shows the certificate of a machine which has joined. */
async function atMember(role: (typeof MEMBER_ROLES)[number]): Promise<Browser> {
  const made = await on.admin.call('createJoinToken', { body: { role, name: `${role}-1` } })
  const folder = temporaryFolder('shadow-test-member-')
  const { credentials } = await joinCluster({
    token: joinToken(made.token),
    master: on.master.url,
    role,
    folder,
    clock,
  })
  return at({ key: credentials.current.key, cert: credentials.current.certificate })
}

test('a browser without a certificate opens the dashboard and signs in, with a cookie for this host and TLS alone', async () => {
  assert.equal((await browser.send('GET', '/', { headers: { accept: 'text/html' } })).status, 200)
  assert.equal((await browser.send('POST', '/v1/dashboard/session', { body: { token } })).status, 201)
  assert.match(
    browser.setCookies[0]!,
    /^__Host-shadow_dashboard=[^;]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200; Secure$/,
  )
  assert.equal((await browser.send('GET', '/v1/apps')).status, 200)
})

test('a cookie without the prefix, which a sibling hostname could have planted, is no session', async () => {
  await browser.send('POST', '/v1/dashboard/session', { body: { token } })
  const value = browser.cookies.get('__Host-shadow_dashboard')!
  browser.cookies.clear()
  browser.cookies.set('shadow_dashboard', value)
  const { status, body } = await browser.send('GET', '/v1/apps')
  assert.deepEqual([status, body.facts], [401, { session: 'none' }])
})

test('a page over plain HTTP of the same host is another origin', async () => {
  await browser.send('POST', '/v1/dashboard/session', { body: { token } })
  const headers = { origin: 'http://shadow.example.com:8080' }
  assert.equal((await browser.send('GET', '/v1/apps', { from: 'program', headers })).status, 403)
})

for (const role of MEMBER_ROLES)
  test(`the certificate of a ${role} is no session, and makes none`, async () => {
    const member = await atMember(role)
    assert.equal((await member.send('GET', '/v1/dashboard/session')).status, 403)
    assert.equal((await member.send('POST', '/v1/dashboard/links')).status, 403)
    assert.equal((await member.send('POST', '/v1/dashboard/session', { body: { token: 'guessed' } })).status, 401)
    assert.equal(member.cookies.size, 0)
    // Beside a cookie, good or not, the certificate does not count.
    member.cookies.set('__Host-shadow_dashboard', 'broken')
    assert.equal((await member.send('GET', '/v1/changes')).status, 401)
    member.cookies.clear()
    assert.equal((await member.send('POST', '/v1/dashboard/session', { body: { token } })).status, 201)
    assert.equal((await member.send('GET', '/v1/dashboard/session')).body['name'], 'ann')
  })

test('no app gets the hostname of the dashboard', async () => {
  for (const hostname of ['shadow.example.com', 'localhost']) {
    const answer = await browser.send('POST', '/v1/apps', {
      from: 'program',
      headers: { authorization: `Bearer ${token}` },
      body: { name: 'thief', image: 'x', domains: [hostname] },
    })
    assert.deepEqual([answer.status, answer.body['code']], [400, 'bad-input'], hostname)
    assert.match(answer.text, /the host of the dashboard/)
  }
})
