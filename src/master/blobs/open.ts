import type { StoragePlace } from '../storage/place.ts'
import type { Blobs } from './blobs.ts'
import { directory } from './directory.ts'
import { s3 } from './s3.ts'

/** `blobs`: sources and build contexts. `layers`: what images are made of, which is collected by a rule of its own. */
type Folder = 'blobs' | 'layers'
type Drivers = {
  [Kind in StoragePlace['kind']]: (
    place: Extract<StoragePlace, { kind: Kind }> & { readonly folder: Folder },
  ) => Promise<Blobs> | Blobs
}
const drivers: Drivers = { directory, s3 }

/** Opens the blobs at the place of the documents; sends no request to the store yet. */
export async function openBlobs(place: StoragePlace, folder: Folder = 'blobs'): Promise<Blobs> {
  const open: (place: never) => Promise<Blobs> | Blobs = drivers[place.kind]
  return open({ ...place, folder } as never)
}
