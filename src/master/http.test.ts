import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { masterClient } from '../api/client.ts'
import { masterCalls } from '../api/master-calls.ts'
import { masterPaths } from '../api/paths.ts'
import { isFailure, type Problem } from '../lib/errors.ts'
import { readEvents } from '../lib/http/api/events.ts'
import { nodeName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-http-'))
let on: TestMaster
beforeAll(async () => {
  on = await testMaster(await directory({ path }))
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const problemOf = ({ body }: { body: unknown }): Problem => body as Problem
const fieldsOf = (answer: { body: unknown }): string[] => (problemOf(answer).faults ?? []).map(({ field }) => field)

describe('who may call the master', () => {
  const paths = Object.entries(masterPaths).map(([name, line]) => {
    const [method = '', pattern = ''] = line.split(' ')
    return { name, method, path: pattern.replace(/:revision/, '1').replace(/:\w+/g, 'x') }
  })

  for (const { name, method, path } of paths.filter(
    ({ name }) => masterCalls[name as keyof typeof masterCalls].may !== 'anyone',
  ))
    test(`without a token, ${name} is refused`, async () => {
      const answer = await on.http(method, path, { token: null })
      assert.equal(answer.status, 401)
      if (method !== 'HEAD') assert.equal(problemOf(answer).code, 'unauthorised')
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer')
    })

  test('health is told to anyone', async () => {
    const answer = await on.http('GET', '/v1/health', { token: null })
    assert.deepEqual([answer.status, answer.body], [200, { ok: true, storage: 'directory' }])
  })

  for (const path of ['/openapi.json', '/v1/nothing', '/nothing'])
    test(`without a token, ${path} is refused`, async () => {
      assert.equal((await on.http('GET', path, { token: null })).status, 401)
    })

  test('a token that the master does not know is refused', async () => {
    const answer = await on.http('GET', '/v1/apps', { token: 'shadow_guessed' })
    assert.deepEqual([answer.status, problemOf(answer).code], [401, 'unauthorised'])
  })

  test('a token of a node or a front may change no apps, and is told what it takes', async () => {
    for (const role of ['node', 'proxy'] as const) {
      const token = await (role === 'node' ? on.master.nodeToken(nodeName('n1')) : on.master.token(role))
      const answer = await on.http('POST', '/v1/apps', { token, body: { name: 'not-mine', image: 'x' } })
      assert.deepEqual([answer.status, problemOf(answer).code], [403, 'forbidden'])
    }
    assert.equal((await on.http('GET', '/v1/apps/not-mine')).status, 404)
  })

  test('a token is made, listed without its secret, used, and of no use once it was removed', async () => {
    const { id, token } = await on.admin.call('createToken', { body: { name: 'laptop', role: 'admin' } })
    assert.equal((await on.http('GET', '/v1/apps', { token })).status, 200)
    const { items } = await on.admin.call('listTokens', {})
    assert.equal(items.find(one => one.id === id)?.name, 'laptop')
    assert.ok(!JSON.stringify(items).includes(token))
    await on.admin.call('removeToken', { params: { token: id } })
    assert.equal((await on.http('GET', '/v1/apps', { token })).status, 401)
    assert.equal((await on.http('DELETE', `/v1/tokens/${id}`)).status, 404)
  })
})

describe('what cannot be understood', () => {
  test('all faults of a definition are told at once, each with its field', async () => {
    const answer = await on.http('POST', '/v1/apps', {
      body: {
        name: 'No_Name',
        imgae: 'x',
        domains: ['http://x.example', 'ok.example'],
        port: '80',
        env: { '1A': 'x', B: 1 },
        volume: { size: '1MiB', paht: '/data' },
        limits: { memory: 'much', cpus: 0, pids: 1.5 },
        ready: { kind: 'magic' },
        startWithin: '5',
        sleep: { idleAfter: 'soon', webSockets: 'maybe' },
      },
    })
    assert.deepEqual([answer.status, problemOf(answer).code], [400, 'bad-input'])
    assert.deepEqual(fieldsOf(answer).sort(), [
      'domains.0',
      'env.1A',
      'env.B',
      'image',
      'imgae',
      'limits.cpus',
      'limits.memory',
      'limits.pids',
      'name',
      'port',
      'ready.kind',
      'sleep.idleAfter',
      'sleep.webSockets',
      'startWithin',
      'volume.paht',
      'volume.size',
    ])
    const said = Object.fromEntries(problemOf(answer).faults!.map(({ field, message }) => [field, message]))
    assert.match(said['imgae']!, /did you mean "image"/)
    assert.match(said['volume.paht']!, /did you mean "path"/)
    assert.match(said['sleep.webSockets']!, /hold, ignore/)
    assert.match(said['image']!, /is needed/)
  })

  for (const [what, sent, wanted] of [
    ['malformed JSON', { body: '{"name": ' }, [400, 'bad-input']],
    ['no body', {}, [400, 'bad-input']],
    ['a list', { body: [] }, [400, 'bad-input']],
    ['another content type', { body: 'name=x', headers: { 'content-type': 'text/plain' } }, [400, 'bad-input']],
    ['a body that is too large', { body: JSON.stringify({ name: 'x'.repeat(5_000_000) }) }, [413, 'too-large']],
  ] as const)
    test(`${what} is refused with a problem document`, async () => {
      const answer = await on.http('POST', '/v1/apps', sent)
      assert.deepEqual([answer.status, problemOf(answer).code], wanted)
      assert.equal(answer.headers.get('content-type'), 'application/problem+json')
    })

  for (const path of ['/v1/nothing', '/v1/apps/x/y/z', '/v1'])
    test(`${path} is no route`, async () => {
      const answer = await on.http('GET', path)
      assert.deepEqual([answer.status, problemOf(answer).code], [404, 'not-found'])
    })

  for (const path of [
    '/v1/apps/%zz',
    '/v1/apps/No_Name',
    '/v1/apps?limit=many',
    '/v1/apps?limt=3',
    '/v1/hosts/..',
    '/v1/apps/x/tasks/0',
    '/v1/apps?after=../x',
  ])
    test(`GET ${path} is bad input`, async () => {
      const answer = await on.http('GET', path)
      assert.ok(['bad-input', 'not-found'].includes(problemOf(answer).code), JSON.stringify(answer.body))
      assert.ok(answer.status < 500)
    })

  test('a patch may not set what a definition does not have, nor spoil what it has', async () => {
    await on.admin.call('registerApp', { body: { name: 'spoilt', image: 'x' } })
    const answer = await on.http('PATCH', '/v1/apps/spoilt', {
      body: '{"name":"other","image":null,"port":0,"__proto__":{"a":1}}',
    })
    assert.equal(answer.status, 400)
    assert.deepEqual(fieldsOf(answer).sort(), ['image', 'name', 'port'])
    assert.equal(({} as { a?: unknown }).a, undefined)
  })
})

describe('the API description', () => {
  test('is OpenAPI 3.1 and has every route', async () => {
    const { status, body } = await on.http('GET', '/openapi.json')
    const document = body as { openapi: string; paths: Record<string, Record<string, { operationId: string }>> }
    assert.deepEqual([status, document.openapi], [200, '3.1.0'])
    const operations = Object.values(document.paths).flatMap(path =>
      Object.values(path).map(({ operationId }) => operationId),
    )
    assert.deepEqual(operations.sort(), Object.keys(masterPaths).sort())
  })
})

describe('a master whose storage is away', () => {
  test('says so, health too, and goes on when it is back', async () => {
    await rename(path, `${path}-away`)
    try {
      for (const [method, route] of [
        ['GET', '/v1/apps/any'],
        ['GET', '/v1/health'],
        ['POST', '/v1/apps'],
      ] as const) {
        const answer = await on.http(method, route, method === 'POST' ? { body: { name: 'away', image: 'x' } } : {})
        assert.deepEqual([answer.status, problemOf(answer).code], [503, 'storage-unreachable'])
        assert.equal(answer.headers.get('retry-after'), '1')
      }
    } finally {
      await rename(`${path}-away`, path)
    }
    assert.equal((await on.http('GET', '/v1/health')).status, 200)
    assert.equal((await on.http('POST', '/v1/apps', { body: { name: 'away', image: 'x' } })).status, 201)
  })
})

describe('a stream that is open', () => {
  const ended = async (body: AsyncIterable<unknown>): Promise<void> => {
    for await (const _ of body);
  }

  test('ends when its token is revoked, and that of another token goes on', async () => {
    const [kept, revoked] = await Promise.all(
      ['kept', 'revoked'].map(name => on.admin.call('createToken', { body: { name, role: 'proxy' } })),
    )
    const leaving = new AbortController()
    const streamOf = (token: string) =>
      masterClient({ url: on.master.url, token, withinMs: 10_000 }).raw('changes', { signal: leaving.signal })
    const [goesOn, ends] = [await streamOf(kept!.token), await streamOf(revoked!.token)]
    await on.admin.call('removeToken', { params: { token: revoked!.id } })
    await ended(ends.body)
    const told = readEvents(goesOn.body).next()
    await on.admin.call('registerApp', { body: { name: 'told-to-the-other', image: 'x' } })
    assert.equal(((await told).value as { app: string }).app, 'told-to-the-other')
    leaving.abort()
  })

  test('ends when its token is revoked through another master, which tells it, or at the latest at the next look', async () => {
    const clock = new HandClock()
    await using other = await testMaster(await directory({ path }), clock)
    const { id, token } = await on.admin.call('createToken', { body: { name: 'far', role: 'proxy' } })
    const { body } = await masterClient({ url: other.master.url, token, withinMs: 10_000 }).raw('changes', {
      signal: new AbortController().signal,
    })
    const end = ended(body)
    await on.admin.call('removeToken', { params: { token: id } })
    await clock.advance(30_000)
    await end
  })
})

test('a token that another user planted is not taken for the admin’s', async () => {
  const data = await mkdtemp(join(tmpdir(), 'shadow-test-planted-'))
  await mkdir(`${data}/tokens`, { mode: 0o700 })
  await writeFile(`${data}/tokens/admin`, 'shadow_planted')
  await chmod(`${data}/tokens/admin`, 0o666)
  await assert.rejects(
    testMaster(await directory({ path: `${data}/store` }), undefined, { SHADOW_DATA: data }),
    error =>
      isFailure(error, 'bad-input') && /tokens\/admin is not taken: others may read or write it/.test(error.message),
  )
  await rm(data, { recursive: true })
})
