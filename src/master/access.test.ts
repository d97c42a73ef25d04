import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { isFailure, type Problem } from '../lib/errors.ts'
import { readEvents } from '../lib/http/api/events.ts'
import { nodeName } from '../model/names.ts'
import { NO_PLACE, routeOf } from '../model/route.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-access-'))
let on: TestMaster
beforeAll(async () => {
  on = await testMaster(await directory({ path }))
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const register = (name: string, more: object = {}) =>
  on.admin.call('registerApp', { body: { name, image: 'x', ...more } })
const set = (app: string, body: object) => on.admin.call('setAccess', { params: { app }, body })
const get = (app: string) => on.admin.call('getApp', { params: { app } })

describe('the access rules of an app', () => {
  test('are none at first, are kept as they were said, each once, and make no revision', async () => {
    const before = await register('blog')
    assert.equal(before.access, undefined)
    const body = {
      allow: ['10.0.0.0/8', '2001:DB8::/32', '10.0.0.0/8'],
      deny: ['::ffff:10.1.2.3'],
      rate: '100/s burst 200',
      ratePerClient: '60/m',
    }
    const after = await set('blog', body)
    const access = { ...body, allow: ['10.0.0.0/8', '2001:db8::/32'], deny: ['10.1.2.3'] }
    assert.deepEqual([after.access, after.task], [access, before.task])
    assert.deepEqual(await get('blog'), after)
    const route = await on.admin.call('getHost', { params: { hostname: 'blog.localhost' } })
    assert.deepEqual(route, routeOf(after, NO_PLACE, route.permit))
    const { items } = await on.admin.call('listReleases', { params: { app: 'blog' } })
    assert.equal(items.length, 1)
  })

  test('stay when the definition changes, and go when the app does', async () => {
    await register('stays')
    const { access } = await set('stays', { deny: ['1.2.3.4'] })
    const params = { app: 'stays' }
    assert.deepEqual((await on.admin.call('updateApp', { params, body: { image: 'y' } })).access, access)
    assert.deepEqual((await on.admin.call('replaceApp', { params, body: { image: 'z' } })).access, access)
    await on.admin.call('removeApp', { params })
    assert.equal((await register('stays')).access, undefined)
  })

  test('can come with the registration, so that the app is never open before', async () => {
    const app = await register('closed', { access: { allow: ['127.0.0.1'] } })
    assert.deepEqual(app.access, { allow: ['127.0.0.1'], deny: [] })
  })

  test('are gone when nothing is left of them', async () => {
    await register('cleared', { access: { rate: '1/s' } })
    await set('cleared', { allow: [], deny: [] })
    assert.equal('access' in (await get('cleared')), false)
  })

  test('that are said as they are change nothing, in whatever order', async () => {
    await register('same', { access: { deny: ['1.2.3.4', '5.6.7.8'] } })
    const before = await on.http('GET', '/v1/apps/same')
    const after = await on.http('PUT', '/v1/apps/same/access', { body: { deny: ['5.6.7.8', '1.2.3.4'] } })
    assert.deepEqual([after.status, after.body], [200, before.body])
    assert.equal(after.headers.get('etag'), before.headers.get('etag'))
  })

  test('are not touched by a PUT that names an older version (412), and are by one that names the current one', async () => {
    const old = (await on.http('POST', '/v1/apps', { body: { name: 'matched', image: 'x' } })).headers.get('etag')!
    const put = (etag: string) =>
      on.http('PUT', '/v1/apps/matched/access', { headers: { 'if-match': etag }, body: { rate: '1/s' } })
    const current = (await on.http('PATCH', '/v1/apps/matched', { body: { image: 'y' } })).headers.get('etag')!
    const refused = await put(old)
    assert.deepEqual([refused.status, (refused.body as Problem).code], [412, 'changed'])
    assert.equal((await get('matched')).access, undefined)
    assert.equal((await put(current)).status, 200)
  })

  test('that are wrong are refused with every fault and its field', async () => {
    await register('wrong')
    const body = { allow: ['10.0.0.0/8', 'home'], deny: ['10.1.2.3/8'], rate: '100', ratePerClient: '0/s', alow: [] }
    const answer = await on.http('PUT', '/v1/apps/wrong/access', { body })
    assert.equal(answer.status, 400)
    const faults = Object.fromEntries(((answer.body as Problem).faults ?? []).map(one => [one.field, one.message]))
    assert.deepEqual(Object.keys(faults).sort(), ['allow.1', 'alow', 'deny.0', 'rate', 'ratePerClient'])
    assert.match(faults['allow.1']!, /^"home": it is no IP address; write it like/)
    assert.match(faults['deny.0']!, /write 10\.0\.0\.0\/8/)
    assert.match(faults['rate']!, /^"100" is not a rate; write it like/)
    assert.match(faults['alow']!, /did you mean "allow"/)
    assert.equal((await get('wrong')).access, undefined)
  })

  test('are of apps alone, and set by an admin alone', async () => {
    await assert.rejects(set('nobody', {}), error => isFailure(error, 'app-not-found'))
    for (const role of ['node', 'proxy'] as const) {
      const token = await (role === 'node' ? on.master.nodeToken(nodeName('n1')) : on.master.token(role))
      assert.equal((await on.http('PUT', '/v1/apps/blog/access', { token, body: {} })).status, 403)
    }
  })

  test('are told of on the change stream, so that fronts ask anew', async () => {
    await register('told')
    const leaving = new AbortController()
    const { body } = await on.admin.raw('changes', { signal: leaving.signal })
    const told = readEvents(body).next()
    await set('told', { rate: '1/s' })
    assert.deepEqual((await told).value, { app: 'told', revision: 1, domains: ['told.localhost'] })
    leaving.abort()
  })
})
