import { afterAll } from 'vitest'
import { openStorage } from '../../src/master/storage/open.ts'
import { describeMasters } from '../../src/testing/masters-contract.ts'
import { minio } from '../tools/s3-servers.ts'

const server = await minio()
afterAll(() => server?.[Symbol.asyncDispose]())

describeMasters(
  'MinIO',
  () => openStorage(server!.place('masters')),
  server === undefined && 'no minio on the PATH or in the cache folder',
)
