import { directory } from './directory.ts'
import type { StoragePlace } from './place.ts'
import { probe } from './probe.ts'
import { s3 } from './s3.ts'
import type { Storage } from './storage.ts'

type Drivers = { [Kind in StoragePlace['kind']]: (place: Extract<StoragePlace, { kind: Kind }>) => Promise<Storage> }
const drivers: Drivers = { directory, s3 }

/**
 * Opens the storage; fails with `storage-unfit` if the store ignores conditions of writes, because then two masters could overwrite each
 * other.
 */
export async function openStorage(place: StoragePlace): Promise<Storage> {
  const open: (place: never) => Promise<Storage> = drivers[place.kind]
  const storage = await open(place as never)
  await probe(storage)
  return storage
}
