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
  // RFC 7396: without strict, to remove what is not there is no error.
  await on.admin.call('updateApp', { params, body })
})
