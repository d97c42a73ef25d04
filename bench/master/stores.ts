import { join } from 'node:path'
import { mapAtMost } from '../../src/lib/parallel.ts'
import { Seals, sealKeys } from '../../src/lib/seals.ts'
import { openTask, sealTask } from '../../src/master/sealed-task.ts'
import { openStorage } from '../../src/master/storage/open.ts'
import { storagePlace } from '../../src/master/storage/place.ts'
import type { TaskDefinition } from '../../src/model/task.ts'
import { TEST_SECRETS_KEY } from '../../src/testing/masters.ts'
import type { S3Server } from '../../test/tools/s3-servers.ts'

/** Where a master stores its apps, in the form of its setting. */
export type Store = { readonly kind: string; readonly place: (name: string) => string }

/** The directory, and MinIO if it is there. */
export function stores(folder: string, minio: S3Server | undefined): Store[] {
  const directory: Store = { kind: 'directory', place: name => `directory:${join(folder, name)}` }
  return minio === undefined ? [directory] : [directory, { kind: 'MinIO', place: name => bucketOf(minio, name) }]
}

function bucketOf(minio: S3Server, name: string): string {
  const place = minio.place(name)
  if (place.kind !== 's3') throw new Error('MinIO is no directory')
  const url = new URL(name, place.endpoint)
  url.username = place.credentials?.accessKeyId ?? ''
  url.password = place.credentials?.secretAccessKey ?? ''
  return url.href
}

/** The same store, called through a proxy. */
export function through(place: string, proxy: string): string {
  return Object.assign(new URL(place), { host: new URL(proxy).host }).href
}

/**
 * The document of an app with a changed task. It has to be changed in clear: a task that was encrypted for one app cannot be opened as
 * another's.
 */
const withTask = <T>(document: unknown, change: (task: T) => object): object => {
  const { task, ...rest } = document as { task?: T }
  return task === undefined ? rest : { ...rest, task: change(task) }
}

/** Copies the documents of `app-0` under the names that follow, up to `size` apps. */
export async function multiply(place: string, size: number): Promise<void> {
  const storage = await openStorage(storagePlace(place))
  const keys = (await storage.list('')).filter(key => key.includes('app-0'))
  const originals = await Promise.all(keys.map(async key => ({ key, value: (await storage.get(key))?.value })))
  const seals = new Seals(sealKeys(TEST_SECRETS_KEY))
  const numbers = Array.from({ length: size - 1 }, (_, at) => at + 1)
  await mapAtMost(32, numbers, async number => {
    const named = (text: string): string => text.replaceAll('app-0', `app-${number}`)
    for (const { key, value } of originals) {
      const copy = JSON.parse(named(JSON.stringify(withTask(value, task => openTask(task, seals)))))
      await storage.create(
        named(key),
        withTask(copy, (task: TaskDefinition) => sealTask(task, seals)),
      )
    }
  })
}
