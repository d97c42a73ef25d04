import type { StoragePlace } from '../storage/place.ts'
import { directory } from './directory.ts'
import type { RepositoryFiles } from './repository-files.ts'
import { s3 } from './s3.ts'

type Drivers = {
  [Kind in StoragePlace['kind']]: (
    place: Extract<StoragePlace, { kind: Kind }>,
  ) => Promise<RepositoryFiles> | RepositoryFiles
}
const drivers: Drivers = { directory, s3 }

/** Opens the repositories at the place of the documents; sends no request to the store yet. */
export async function openRepositoryFiles(place: StoragePlace): Promise<RepositoryFiles> {
  const open: (place: never) => Promise<RepositoryFiles> | RepositoryFiles = drivers[place.kind]
  return open(place as never)
}
