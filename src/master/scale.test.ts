import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { isFailure, type ShadowError } from '../lib/errors.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-scale-'))
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
const set = (app: string, body: object) => on.admin.call('setScale', { params: { app }, body })
const kept = async () => (await on.admin.call('listKept', {})).items.map(({ name }) => name)
const fieldsOf = (error: unknown): string[] => {
  assert.ok(isFailure(error, 'bad-input'))
  return (error as ShadowError).details.faults?.map(({ field }) => field) ?? []
}

describe('the rules by which an app is scaled', () => {
  test('are none at first; a change makes no revision, and is in the route', async () => {
    const before = await register('blog')
    assert.equal(before.scale, undefined)
    const scale = { min: 0, max: 4, concurrency: { soft: 10, hard: 20 } }
    const after = await set('blog', scale)
    assert.deepEqual([after.scale, after.task], [scale, before.task])
    assert.deepEqual((await on.admin.call('getHost', { params: { hostname: 'blog.localhost' } })).scale, scale)
    assert.equal((await set('blog', scale)).updatedAt, after.updatedAt)
    assert.equal((await set('blog', {})).scale, undefined)
  })

  test('can come with the registration, and stay when the definition changes', async () => {
    const { scale } = await register('with', { scale: { max: 3 } })
    assert.deepEqual(scale, { min: 0, max: 3 })
    const params = { app: 'with' }
    assert.deepEqual((await on.admin.call('updateApp', { params, body: { image: 'y' } })).scale, scale)
  })

  test('of an app with a volume ask for one instance; all faults are told at once', async () => {
    const scale = { min: 2, max: 4, concurrency: { soft: 1, hard: 2 } }
    const all = ['scale.max', 'scale.min', 'scale.concurrency']
    const volume = { size: '16MiB' }
    assert.deepEqual(fieldsOf(await register('data', { volume, scale }).catch(error => error)), all)
    await register('data', { volume })
    assert.deepEqual(fieldsOf(await set('data', scale).catch(error => error)), all)
    assert.deepEqual((await set('data', { min: 1 })).scale, { min: 1, max: 1 })
  })

  test('a volume is refused for an app that may have several instances', async () => {
    await register('many', { scale: { max: 4 } })
    const update = on.admin.call('updateApp', { params: { app: 'many' }, body: { volume: { size: '16MiB' } } })
    assert.deepEqual(fieldsOf(await update.catch(error => error)), ['scale.max'])
  })

  test('that contradict themselves are refused', async () => {
    const fields = fieldsOf(await set('blog', { min: 3, max: 2, concurrency: { soft: 3, hard: 2 } }).catch(e => e))
    assert.deepEqual(fields, ['min', 'concurrency'])
    assert.deepEqual(fieldsOf(await set('blog', { max: 0, cpu: 101 }).catch(e => e)), ['max', 'cpu'])
  })
})

test('the apps of which instances are kept awake are listed, as they are now', async () => {
  await register('one', { scale: { min: 1, max: 2 } })
  await register('two')
  await set('two', { min: 2, max: 2 })
  await register('three', { scale: { min: 1 } })
  assert.deepEqual(await kept(), ['data', 'one', 'three', 'two'])
  await set('one', {})
  await on.admin.call('removeApp', { params: { app: 'three' } })
  assert.deepEqual(await kept(), ['data', 'two'])
  await register('three')
  assert.deepEqual(await kept(), ['data', 'two'])
  await set('one', { min: 1 })
  assert.deepEqual(await kept(), ['data', 'one', 'two'])
})

describe('the pages of an app', () => {
  const HTML = '<!doctype html><h1>Soon</h1>'
  const put = (app: string, body: object) => on.admin.call('setPages', { params: { app }, body })

  test('are none at first; a change makes no revision, and is in the route and in the definition for others', async () => {
    const before = await register('paged')
    assert.equal(before.pages, undefined)
    const after = await put('paged', { waiting: HTML })
    assert.deepEqual([after.pages, after.task], [{ waiting: HTML }, before.task])
    assert.deepEqual((await on.admin.call('getHost', { params: { hostname: 'paged.localhost' } })).pages, {
      waiting: HTML,
    })
    const definition = await on.admin.call('getDefinition', { params: { app: 'paged' } })
    assert.deepEqual(definition['pages'], { waiting: HTML })
    assert.equal((await put('paged', { waiting: HTML })).updatedAt, after.updatedAt)
    assert.equal((await put('paged', {})).pages, undefined)
  })

  test('are HTML', async () => {
    await assert.rejects(put('paged', { error: 'hello' }), error => fieldsOf(error).join() === 'error')
    await assert.rejects(put('paged', { error: `${HTML}${'x'.repeat(40_000)}` }), error =>
      isFailure(error, 'bad-input'),
    )
    await assert.rejects(put('paged', { sleeping: HTML }), error => isFailure(error, 'bad-input'))
  })
})
