import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { HandClock } from '../../testing/clock.ts'
import { PROBED_EVERY_MS, probed } from './probed.ts'
import type { Storage } from './storage.ts'

/** Documents in memory, by a store whose faults a test chooses. */
function memory() {
  const documents = new Map<string, { value: object; etag: string }>()
  const faults = { ignoresConditions: false, isAway: false }
  let count = 0
  const put = (key: string, value: object, isRefused: boolean, code: 'already-exists' | 'changed'): string => {
    if (faults.isAway) throw new ShadowError('storage-unreachable', 'it is away')
    if (isRefused && !faults.ignoresConditions) throw new ShadowError(code, key)
    const etag = String(++count)
    documents.set(key, { value, etag })
    return etag
  }
  const storage: Storage = {
    name: 'memory',
    get: async key => documents.get(key),
    create: async (key, value) => put(key, value, documents.has(key), 'already-exists'),
    update: async (key, value, etag) => put(key, value, documents.get(key)?.etag !== etag, 'changed'),
    remove: async key => void documents.delete(key),
    list: async () => [...documents.keys()],
    versions: async () => new Map(),
    close: async () => undefined,
  }
  return { storage, faults }
}

const isUnfit = (error: unknown): boolean =>
  isFailure(error, 'storage-unfit') && /memory ignores If-None-Match: two masters would overwrite/.test(error.message)

test('a store that loses its conditions while masters run is found out; nothing is written until it has them again', async () => {
  const clock = new HandClock()
  const { storage: store, faults } = memory()
  const storage = probed(store, { clock, log: noLog })
  const etag = await storage.create('apps/blog.json', { n: 1 })
  faults.ignoresConditions = true
  await clock.advance(PROBED_EVERY_MS)
  await assert.rejects(storage.create('apps/other.json', {}), isUnfit)
  await assert.rejects(storage.update('apps/blog.json', {}, etag), isUnfit)
  await assert.rejects(storage.remove('apps/blog.json'), isUnfit)
  assert.deepEqual((await storage.get('apps/blog.json'))?.value, { n: 1 })
  assert.deepEqual(await storage.list(''), ['apps/blog.json'])
  faults.ignoresConditions = false
  await clock.advance(PROBED_EVERY_MS)
  await storage.update('apps/blog.json', { n: 2 }, etag)
  await storage.close()
  assert.equal(clock.waiting, 0)
})

test('a store that is away for a while is not taken for one without conditions', async () => {
  const clock = new HandClock()
  const { storage: store, faults } = memory()
  const storage = probed(store, { clock, log: noLog })
  faults.isAway = true
  await clock.advance(PROBED_EVERY_MS)
  faults.isAway = false
  await storage.create('apps/blog.json', {})
  await storage.close()
})
