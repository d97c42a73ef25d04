import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type FailureCode, isFailure } from '../lib/errors.ts'
import { readEvents } from '../lib/http/api/events.ts'
import { NO_PLACE, routeOf } from '../model/route.ts'
import { HandClock } from '../testing/clock.ts'
import { countingStorage } from '../testing/counting-storage.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-apps-'))
const clock = new HandClock()
let on: TestMaster
beforeAll(async () => {
  on = await testMaster(await directory({ path }), clock)
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const rejectsWith = (code: FailureCode, action: Promise<unknown>) =>
  assert.rejects(action, error => isFailure(error, code))
const get = (app: string) => on.admin.call('getApp', { params: { app } })

describe('an app', () => {
  test('gets the default domain and the defaults of a definition', async () => {
    const app = await on.admin.call('registerApp', { body: { name: 'plain', image: 'x' } })
    assert.deepEqual(app.domains, ['plain.localhost'])
    assert.deepEqual([app.task.revision, app.task.port, app.task.sleep.idleAfter], [1, 8000, '5m'])
    const route = await on.admin.call('getHost', { params: { hostname: 'PLAIN.localhost.' } })
    assert.deepEqual(route, routeOf(app, NO_PLACE, route.permit))
  })

  test('that is called like another is refused', () =>
    rejectsWith('already-exists', on.admin.call('registerApp', { body: { name: 'plain', image: 'y' } })))

  test('cannot have the domain of another, by registration or by update', async () => {
    await on.admin.call('registerApp', {
      body: { name: 'owner', image: 'x', domains: ['owned.example', 'second.example'] },
    })
    await on.admin.call('registerApp', { body: { name: 'other', image: 'x' } })
    await clock.advance(86_400_000) // a claim never lapses if its app lists the hostname
    const both = on.admin.call('registerApp', {
      body: { name: 'thief', image: 'x', domains: ['second.example', 'owned.example', 'free.example'] },
    })
    await assert.rejects(
      both,
      error => isFailure(error, 'domain-taken') && /owned\.example.*second\.example/.test(error.message),
    )
    await rejectsWith('app-not-found', get('thief'))
    await rejectsWith(
      'domain-taken',
      on.admin.call('updateApp', { params: { app: 'other' }, body: { domains: ['owned.example'] } }),
    )
    await on.admin.call('registerApp', { body: { name: 'lucky', image: 'x', domains: ['free.example'] } })
  })

  test('keeps its own domain in a PUT, and gives up those that a PUT leaves out', async () => {
    const app = { params: { app: 'owner' } }
    const replaced = await on.admin.call('replaceApp', { ...app, body: { image: 'y', domains: ['owned.example'] } })
    assert.deepEqual([replaced.domains, replaced.task.revision, replaced.task.image], [['owned.example'], 2, 'y'])
    await rejectsWith('host-unknown', on.admin.call('getHost', { params: { hostname: 'second.example' } }))
    await on.admin.call('updateApp', { params: { app: 'other' }, body: { domains: ['second.example'] } })
    assert.equal((await on.admin.call('getHost', { params: { hostname: 'second.example' } })).name, 'other')
  })

  test('that is said to be as it is gets no new revision', async () => {
    const before = await on.http('GET', '/v1/apps/owner')
    const put = await on.http('PUT', '/v1/apps/owner', { body: { domains: ['owned.example'], image: 'y' } })
    const patch = await on.http('PATCH', '/v1/apps/owner', { body: { image: 'y', sleep: { idleAfter: '5m' } } })
    for (const after of [put, patch]) {
      assert.deepEqual([after.status, after.body], [200, before.body])
      assert.equal(after.headers.get('etag'), before.headers.get('etag'))
    }
  })

  test('is patched by merging: what is null goes back to its default, what is not named stays', async () => {
    await on.admin.call('registerApp', {
      body: {
        name: 'merged',
        image: 'x',
        env: { A: '1', B: '2' },
        command: ['a', 'b'],
        sleep: { idleAfter: '1h', grace: '1s' },
        port: 80,
      },
    })
    const { task } = await on.admin.call('updateApp', {
      params: { app: 'merged' },
      body: { env: { A: null, C: '3' }, command: ['c'], sleep: { idleAfter: null }, port: null },
    })
    assert.deepEqual(task.env, { B: '2', C: '3' })
    assert.deepEqual([task.command, task.sleep.idleAfter, task.sleep.grace, task.port], [['c'], '5m', '1s', 8000])
  })

  test('has its revisions kept unchanged, newest first', async () => {
    const { items } = await on.admin.call('listReleases', { params: { app: 'merged' } })
    assert.deepEqual(
      items.map(({ revision }) => revision),
      [2, 1],
    )
    const first = await on.admin.call('getRelease', { params: { app: 'merged', revision: 1 } })
    assert.deepEqual(first.task.env, { A: '1', B: '2' })
    await rejectsWith('not-found', on.admin.call('getRelease', { params: { app: 'merged', revision: 3 } }))
  })

  test('that was read already is not sent again (304)', async () => {
    for (const path of ['/v1/apps/merged', '/v1/hosts/merged.localhost']) {
      const etag = (await on.http('GET', path)).headers.get('etag')!
      const again = await on.http('GET', path, { headers: { 'if-none-match': etag } })
      assert.deepEqual([again.status, again.body, again.headers.get('etag')], [304, undefined, etag])
      assert.equal((await on.http('GET', path, { headers: { 'if-none-match': '"other"' } })).status, 200)
    }
  })

  for (const [method, body] of [
    ['PUT', { image: 'z' }],
    ['PATCH', { image: 'z' }],
    ['DELETE', undefined],
  ] as const)
    test(`is not touched by a ${method} that names an older version (412), and is by one that names the current one`, async () => {
      const name = `matched-${method.toLowerCase()}`
      const registered = await on.http('POST', '/v1/apps', { body: { name, image: 'x' } })
      const old = registered.headers.get('etag')!
      const current = (await on.http('PATCH', `/v1/apps/${name}`, { body: { image: 'y' } })).headers.get('etag')!
      const refused = await on.http(method, `/v1/apps/${name}`, { headers: { 'if-match': old }, ...(body && { body }) })
      assert.deepEqual([refused.status, (refused.body as { code: string }).code], [412, 'changed'])
      assert.equal((await get(name)).task.image, 'y')
      const taken = await on.http(method, `/v1/apps/${name}`, {
        headers: { 'if-match': current },
        ...(body && { body }),
      })
      assert.ok(taken.status < 300)
    })

  test('is listed by name, a page at a time, until the last', async () => {
    const names: string[] = []
    let after: string | null = null
    do {
      const page: { items: { name: string }[]; next: string | null } = await on.admin.call('listApps', {
        query: { limit: 3, ...(after !== null && { after }) },
      })
      names.push(...page.items.map(({ name }) => name))
      after = page.next
    } while (after !== null)
    assert.deepEqual(names, ['lucky', 'matched-patch', 'matched-put', 'merged', 'other', 'owner', 'plain'])
  })

  test('that was removed is gone with its domains and its history, and its name can be had again', async () => {
    await on.admin.call('removeApp', { params: { app: 'merged' } })
    await rejectsWith('app-not-found', get('merged'))
    await rejectsWith('host-unknown', on.admin.call('getHost', { params: { hostname: 'merged.localhost' } }))
    await rejectsWith('app-not-found', on.admin.call('removeApp', { params: { app: 'merged' } }))
    const again = await on.admin.call('registerApp', { body: { name: 'merged', image: 'x' } })
    assert.equal(again.task.revision, 3, 'whoever remembers the old app does not take the new one for it')
    const { items } = await on.admin.call('listReleases', { params: { app: 'merged' } })
    assert.equal(items.length, 1)
  })

  test('is told of on the change stream when it is registered, changed and removed', async () => {
    const leaving = new AbortController()
    const { body } = await on.admin.raw('changes', { signal: leaving.signal })
    const events = readEvents(body)
    const next = async () => (await events.next()).value
    const told = next()
    await on.admin.call('registerApp', { body: { name: 'told', image: 'x' } })
    assert.deepEqual(await told, { app: 'told', revision: 1, domains: ['told.localhost'] })
    await on.admin.call('updateApp', { params: { app: 'told' }, body: { image: 'y' } })
    assert.deepEqual(await next(), { app: 'told', revision: 2, domains: ['told.localhost'] })
    await on.admin.call('removeApp', { params: { app: 'told' } })
    assert.deepEqual(await next(), { app: 'told', revision: null, domains: ['told.localhost'] })
    leaving.abort()
  })

  test('is found by hostname in one read of the store where it was asked for before', async () => {
    const { storage, calls } = countingStorage(await directory({ path }))
    await using counted = await testMaster(storage)
    const ask = () => counted.admin.call('getHost', { params: { hostname: 'owned.example' } })
    await ask()
    calls.length = 0
    await ask()
    assert.deepEqual(calls, ['get'])
  })
})
