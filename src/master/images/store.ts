import type { Clock } from '../../lib/clock.ts'
import { imageByDigest, type OciDigest, type Repository } from '../../model/image-store.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { Storage } from '../storage/storage.ts'
import { type ImageBlobs, imageBlobs } from './blobs.ts'
import { fault } from './faults.ts'
import { type ImageManifests, imageManifests } from './manifests.ts'
import type { NeededImages } from './needed.ts'
import { type ImageTags, imageTags } from './tags.ts'
import { type ImageUploads, imageUploads } from './uploads.ts'

/** Shadow's own image store. */
export type ImageStore = {
  readonly blobs: ImageBlobs
  readonly manifests: ImageManifests
  readonly tags: ImageTags
  readonly uploads: ImageUploads
}

type Options = {
  readonly storage: Storage
  readonly blobs: Blobs
  readonly clock: Clock
  readonly limitBytes: number
  readonly needed: NeededImages
}

export function imageStore({ storage, blobs: content, clock, limitBytes, needed }: Options): ImageStore {
  const blobs = imageBlobs({ storage, blobs: content, clock })
  const mustNotBeNeeded = async (repository: Repository, digest: OciDigest): Promise<void> => {
    const apps = (await needed()).get(imageByDigest(repository, digest))
    if (apps !== undefined)
      throw fault('DENIED', `the app ${apps.join(', ')} needs the image ${repository}@${digest}`, 'shadow images ls')
  }
  const tags = imageTags({ storage, clock })
  return {
    blobs,
    tags,
    manifests: imageManifests({ storage, blobs, tags, clock, mustNotBeNeeded }),
    uploads: imageUploads({ storage, blobs, clock, limitBytes }),
  }
}
