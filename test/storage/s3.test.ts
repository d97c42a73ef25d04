import assert from 'node:assert/strict'
import { afterAll, describe, test } from 'vitest'
import { isFailure } from '../../src/lib/errors.ts'
import { openRepositoryFiles } from '../../src/master/backups/open.ts'
import { openBlobs } from '../../src/master/blobs/open.ts'
import { openStorage } from '../../src/master/storage/open.ts'
import { storagePlace } from '../../src/master/storage/place.ts'
import { describeBlobs } from '../../src/testing/blobs-contract.ts'
import { describeRepositoryFiles } from '../../src/testing/repository-files-contract.ts'
import { describeStorage } from '../../src/testing/storage-contract.ts'
import { minio } from '../tools/s3-servers.ts'

const onMinio = await minio()
const elsewhere = process.env['SHADOW_TEST_S3']
afterAll(async () => {
  await onMinio?.[Symbol.asyncDispose]()
})

describeStorage('MinIO', () => openStorage(onMinio!.place('contract')), {
  skip: onMinio === undefined && 'no minio on the PATH or in the cache folder',
})
describeStorage('SHADOW_TEST_S3', () => openStorage(storagePlace(elsewhere!)), {
  skip: elsewhere === undefined && 'set SHADOW_TEST_S3 to https://KEY:SECRET@HOST/BUCKET',
})

describeBlobs(
  'MinIO',
  async () => {
    await openStorage(onMinio!.place('blobs')) // makes the bucket
    return openBlobs(onMinio!.place('blobs'))
  },
  { skip: onMinio === undefined && 'it is not installed' },
)

describeRepositoryFiles(
  'MinIO',
  async () => {
    await openStorage(onMinio!.place('repositories'))
    return openRepositoryFiles(onMinio!.place('repositories'))
  },
  { skip: onMinio === undefined && 'it is not installed' },
)

describe.skipIf(onMinio === undefined)('storage MinIO', () => {
  test('a store that went away fails with storage-unreachable, and its return is noticed with all it had', async () => {
    const storage = await openStorage(onMinio!.place('away'))
    const etag = await storage.create('doc.json', { n: 1 })
    await onMinio!.stop()
    try {
      for (const deed of [
        () => storage.get('doc.json'),
        () => storage.create('new.json', {}),
        () => storage.update('doc.json', {}, etag),
        () => storage.list(''),
        () => storage.remove('doc.json'),
        () => openStorage(onMinio!.place('away')),
      ])
        await assert.rejects(deed(), error => isFailure(error, 'storage-unreachable'))
    } finally {
      await onMinio!.start()
    }
    await storage.update('doc.json', { n: 2 }, etag)
    assert.deepEqual((await storage.get('doc.json'))?.value, { n: 2 })
  })

  test('a wrong secret is told of as such', async () => {
    const place = onMinio!.place('contract')
    assert.ok(place.kind === 's3')
    const wrong = { ...place, credentials: { accessKeyId: 'shadowtest', secretAccessKey: 'wrongwrongwrong' } }
    await assert.rejects(
      openStorage(wrong),
      error => isFailure(error, 'storage-unreachable') && /refuses us/.test(error.message),
    )
  })

  test('a killed store has every document whose write was answered', async () => {
    const storage = await openStorage(onMinio!.place('killed'))
    const written: string[] = []
    const writing = (async () => {
      for (let n = 0; ; n++) {
        await storage.create(`doc/${n}.json`, { n })
        written.push(`doc/${n}.json`)
        if (n === 20) void onMinio!.stop()
      }
    })()
    await assert.rejects(writing, error => isFailure(error, 'storage-unreachable'))
    await onMinio!.start()
    for (const [n, key] of written.entries()) assert.deepEqual((await storage.get(key))?.value, { n })
  })
})
