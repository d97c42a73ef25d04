import assert from 'node:assert/strict'
import { test } from 'vitest'
import { HandClock } from '../testing/clock.ts'
import { TEST_SECRETS_KEY, testMaster } from '../testing/masters.ts'
import { memoryStorage } from '../testing/memory-storage.ts'
import type { Storage } from './storage/storage.ts'

type Stored = { readonly later?: unknown; readonly task: { readonly later?: unknown; readonly image: string } }
const KEY = 'apps/blog.json'
const params = { app: 'blog' }
const later = { secret: 'of a later version' }

/** What a master of a later version has added to the app, and to its current revision. */
async function addLater(storage: Storage): Promise<void> {
  const { value, etag } = (await storage.get(KEY)) as { value: Stored; etag: string }
  await storage.update(KEY, { ...value, later, task: { ...value.task, later } }, etag)
}
const stored = async (storage: Storage): Promise<Stored> => (await storage.get(KEY))?.value as Stored

test('what a master of a later version has stored of an app outlives every write of an earlier one', async () => {
  const storage = memoryStorage()
  await using on = await testMaster(storage, new HandClock(), { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY })
  await on.admin.call('registerApp', { body: { name: 'blog', image: 'ghost:6', secrets: { TOKEN: 'kept' } } })
  await addLater(storage)
  for (const [what, write] of [
    ['access', () => on.admin.call('setAccess', { params, body: { rate: '5/s' } })],
    ['a revision', () => on.admin.call('updateApp', { params, body: { image: 'ghost:7' } })],
    ['secrets', () => on.admin.call('changeSecrets', { params, query: {}, body: { TOKEN: 'new' } })],
    ['a rollback', () => on.admin.call('rollbackApp', { params, body: { to: 1 } })],
  ] as const) {
    await write()
    const { task, ...app } = await stored(storage)
    assert.deepEqual([app.later, task.later], [later, later], what)
  }
  const kept = (await storage.get('tasks/blog/1.json'))?.value as Stored['task']
  assert.deepEqual([kept.later, kept.image], [later, 'ghost:6'])
})

test('callers are told nothing of it, and it makes no difference between revisions', async () => {
  const storage = memoryStorage()
  await using on = await testMaster(storage, new HandClock(), { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY })
  await on.admin.call('registerApp', { body: { name: 'blog', image: 'ghost:6' } })
  await addLater(storage)
  const app = await on.admin.call('getApp', { params })
  assert.equal('later' in app || 'later' in app.task, false)
  const same = await on.admin.call('updateApp', { params, body: { image: 'ghost:6' } })
  assert.equal(same.task.revision, 1)
})
