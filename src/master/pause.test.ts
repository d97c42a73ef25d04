import assert from 'node:assert/strict'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { memoryStorage } from '../testing/memory-storage.ts'

let on: TestMaster
beforeAll(async () => {
  on = await testMaster(memoryStorage())
})
afterAll(() => on[Symbol.asyncDispose]())

const params = { app: 'blog' }
const route = () => on.admin.call('getHost', { params: { hostname: 'blog.localhost' } })

describe('a pause', () => {
  test('makes no revision, is in the route, and is ended by a resume', async () => {
    const before = await on.admin.call('registerApp', { body: { name: 'blog', image: 'x' } })
    assert.equal(before.paused, undefined)
    const { paused, task, updatedAt } = await on.admin.call('pauseApp', { params, body: { why: 'moved' } })
    assert.match(paused?.by ?? '', /^admin of /)
    assert.deepEqual([paused?.why, task], ['moved', before.task])
    assert.ok(updatedAt > before.updatedAt)
    assert.deepEqual((await route()).paused, paused)
    const resumed = await on.admin.call('resumeApp', { params })
    assert.equal(resumed.paused, undefined)
    assert.equal((await route()).paused, undefined)
    assert.equal((await on.admin.call('resumeApp', { params })).updatedAt, resumed.updatedAt, 'nothing to resume')
  })

  test('that is asked for again stays as it is, unless it has another reason', async () => {
    const first = await on.admin.call('pauseApp', { params, body: {} })
    const again = await on.admin.call('pauseApp', { params, body: {} })
    assert.deepEqual([again.paused, again.updatedAt], [first.paused, first.updatedAt])
    const other = await on.admin.call('pauseApp', { params, body: { why: 'no money' } })
    assert.equal(other.paused?.why, 'no money')
  })

  test('outlasts changes of the definition and of the rules, and is no part of what can be exported', async () => {
    await on.admin.call('updateApp', { params, body: { image: 'y' } })
    await on.admin.call('setAccess', { params, body: { deny: ['10.0.0.0/8'] } })
    const { paused } = await on.admin.call('getApp', { params })
    assert.equal(paused?.why, 'no money')
    assert.ok(!('paused' in (await on.admin.call('getDefinition', { params }))))
  })

  test('ends with the app: one that is registered again under the name is not paused', async () => {
    await on.admin.call('removeApp', { params, query: {} })
    assert.equal((await on.admin.call('registerApp', { body: { name: 'blog', image: 'x' } })).paused, undefined)
  })

  for (const why of ['', 'a'.repeat(201), 'two\nlines'])
    test(`with the reason ${JSON.stringify(why.slice(0, 10))} of ${why.length} characters is refused`, async () => {
      const refused = on.admin.call('pauseApp', { params, body: { why } })
      await assert.rejects(refused, error => isFailure(error, 'bad-input'))
    })
})
