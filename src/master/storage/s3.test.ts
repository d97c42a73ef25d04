import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { smallS3 } from '../../testing/small-s3.ts'
import { openStorage } from './open.ts'

describe('storage s3', () => {
  for (const ignored of ['if-none-match', 'if-match'] as const)
    test(`a store that ignores ${ignored} is refused at start`, async () => {
      await using store = await smallS3({ ignores: [ignored] })
      await assert.rejects(
        openStorage(store.place),
        error => isFailure(error, 'storage-unfit') && error.message.toLowerCase().includes(`ignores ${ignored}`),
      )
    })

  test('a write that landed and whose answer was lost is not taken for one that somebody else won', async () => {
    await using store = await smallS3()
    const storage = await openStorage(store.place)
    store.loseAnswers(1)
    const created = await storage.create('doc.json', { n: 1 })
    store.loseAnswers(1)
    const updated = await storage.update('doc.json', { n: 2 }, created)
    assert.deepEqual(await storage.get('doc.json'), { value: { n: 2 }, etag: updated })
  })

  test('a write that met another at the same moment (409) is tried again', async () => {
    await using store = await smallS3()
    const storage = await openStorage(store.place)
    store.conflicts(3)
    const etag = await storage.create('doc.json', { n: 1 })
    store.conflicts(3)
    await storage.update('doc.json', { n: 2 }, etag)
    assert.deepEqual((await storage.get('doc.json'))?.value, { n: 2 })
  })

  test('the name of a store for people has no secret in it', async () => {
    await using store = await smallS3()
    const { name } = await openStorage(store.place)
    assert.match(name, /^s3 http:\/\/127\.0\.0\.1:\d+\/small$/)
  })
})
