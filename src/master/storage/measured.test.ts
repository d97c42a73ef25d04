import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { Metrics } from '../../lib/metrics/metrics.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { storageMetrics } from './measured.ts'

test('requests to a store are counted by operation and outcome, and timed; answers and errors stay as they are', async () => {
  const metrics = new Metrics()
  const away = new ShadowError('storage-unreachable', 'it is away')
  const memory = memoryStorage()
  const storage = storageMetrics(metrics)({ ...memory, list: () => Promise.reject(away) })
  const etag = await storage.create('a.json', { a: 1 })
  assert.deepEqual(await storage.get('a.json'), { value: { a: 1 }, etag })
  await assert.rejects(storage.create('a.json', {}), { code: 'already-exists' })
  await storage.update('a.json', { a: 2 }, etag)
  await assert.rejects(storage.update('a.json', { a: 3 }, etag), { code: 'changed' })
  await assert.rejects(storage.list(''), error => error === away)
  assert.deepEqual([...(await storage.versions('', { limit: 9 })).keys()], ['a.json'])
  await storage.remove('a.json')
  const { body } = await metrics.text()
  const count = (operation: string, outcome: string): string | undefined =>
    new RegExp(`^shadow_store_requests_total\\{operation="${operation}",outcome="${outcome}"\\} (\\d+)$`, 'm').exec(
      body,
    )?.[1]
  const all = ['get', 'list', 'versions', 'create', 'update', 'remove'].map(operation =>
    ['done', 'conflict', 'failed'].map(outcome => Number(count(operation, outcome))),
  )
  assert.deepEqual(all, [
    [1, 0, 0],
    [0, 0, 1],
    [1, 0, 0],
    [1, 1, 0],
    [1, 1, 0],
    [1, 0, 0],
  ])
  assert.match(body, /^shadow_store_request_duration_seconds_count\{operation="create"\} 2$/m)
})
