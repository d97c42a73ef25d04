import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { isFailure, type Problem } from '../lib/errors.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-env-'))
let on: TestMaster
beforeAll(async () => {
  on = await testMaster(await directory({ path }))
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const register = (env: string) => on.http('POST', '/v1/apps', { body: `{"name":"named","image":"x","env":${env}}` })

describe('the name of a variable', () => {
  for (const name of ['discovery.type', 'with-dash', '_', 'a/b', 'ünlaut', 'constructor', 'toString'])
    test(`may be ${name}`, async () => {
      const app = await on.admin.call('registerApp', { body: { name: 'free', image: 'x', env: { [name]: '1' } } })
      assert.deepEqual(Object.keys(app.task.env), [name])
      await on.admin.call('removeApp', { params: { app: 'free' } })
    })

  for (const name of ['', 'a b', '1a', 'a=b', 'a\\nb', 'a\\u0000', '__proto__'])
    test(`cannot be "${name}", which is told`, async () => {
      const answer = await register(`{"${name}":"x"}`)
      const { faults = [] } = answer.body as Problem
      assert.equal(answer.status, 400)
      assert.deepEqual(
        faults.map(({ field }) => field),
        [`env.${JSON.parse(`"${name}"`)}`],
      )
    })
})

test('a strict patch that takes away a variable which is not there changes nothing, and names it', async () => {
  const params = { app: 'strict' }
  await on.admin.call('registerApp', { body: { name: 'strict', image: 'x', env: { A: '1', B: '2' } } })
  const body = { image: 'y', env: { A: null, NOPE: null, toString: null } }
  await assert.rejects(on.admin.call('updateApp', { params, body, query: { strict: 'true' } }), error => {
    assert.ok(isFailure(error, 'not-found'))
    assert.deepEqual(
      error.details.faults?.map(({ field }) => field),
      ['env.NOPE', 'env.toString'],
    )
    return true
  })
  assert.equal((await on.admin.call('getApp', { params })).task.image, 'x')
  const app = await on.admin.call('updateApp', { params, body: { env: { A: null } }, query: { strict: 'true' } })
  assert.deepEqual([app.task.revision, Object.keys(app.task.env)], [2, ['B']])
  // RFC 7396: without `strict`, removing an absent variable is no error.
  await on.admin.call('updateApp', { params, body })
})

describe('values of an environment', () => {
  const params = { app: 'secretive' }
  const digests = { env: 'digests' } as const
  const get = () => on.admin.call('getApp', { params, query: digests })

  test('are digests where these are asked for, in old revisions too; equal values have equal ones', async () => {
    const body = { name: 'secretive', image: 'x', env: { A: 'hush-1', B: 'hush-1', C: 'hush-2' } }
    const made = await on.admin.call('registerApp', { body, query: digests })
    const changed = await on.admin.call('updateApp', { params, body: { env: { C: 'hush-3' } }, query: digests })
    const answers = [
      made,
      changed,
      await get(),
      await on.admin.call('listApps', { query: digests }),
      await on.admin.call('listReleases', { params }),
      await on.admin.call('getRelease', { params: { ...params, revision: 1 }, query: digests }),
      await on.admin.call('setAccess', { params, body: { deny: ['192.0.2.1'] }, query: digests }),
    ]
    for (const answer of answers) assert.doesNotMatch(JSON.stringify(answer), /hush/)
    const { A, B, C } = changed.task.env
    assert.match(A ?? '', /^hmac-sha256:[0-9a-f]{32}$/)
    assert.equal(A, B)
    assert.notEqual(C, made.task.env['C'])
    assert.equal(A, made.task.env['A'])
  })

  test('stay as they are where their digests are sent back, by PATCH and by PUT', async () => {
    const { task } = await get()
    await on.admin.call('updateApp', { params, body: { env: { ...task.env, D: '4' } } })
    assert.deepEqual((await on.admin.call('getApp', { params })).task.env, {
      A: 'hush-1',
      B: 'hush-1',
      C: 'hush-3',
      D: '4',
    })
    await on.admin.call('replaceApp', { params, body: { image: 'y', env: task.env } })
    assert.deepEqual((await on.admin.call('getApp', { params })).task.env, { A: 'hush-1', B: 'hush-1', C: 'hush-3' })
  })

  test('cannot be the digest of another value', async () => {
    const { A = '' } = (await get()).task.env
    for (const env of [{ C: A }, { NEW: A }])
      await assert.rejects(on.admin.call('updateApp', { params, body: { env } }), error =>
        isFailure(error, 'bad-input'),
      )
    const body = { name: 'copied', image: 'x', env: { A } }
    await assert.rejects(on.admin.call('registerApp', { body }), error => isFailure(error, 'bad-input'))
  })
})
