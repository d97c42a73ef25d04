import { ShadowError } from '../../lib/errors.ts'
import { isBuiltTag } from '../../model/build.ts'
import { type OciDigest, type StoredImage, storedImage } from '../../model/image-store.ts'
import type { PinnedImage, TaskDefinition } from '../../model/task.ts'
import { type Manifest, parseManifest } from './manifest.ts'
import type { ImageStore } from './store.ts'

export type ImagePins = ReturnType<typeof imagePins>

/** Nodes have the architecture of the masters. */
const ARCHITECTURE = process.arch === 'x64' ? 'amd64' : process.arch

/** Which image of the store a name means at this moment. */
export function imagePins({ manifests }: Pick<ImageStore, 'manifests'>) {
  const wanted = async ({ repository }: StoredImage, digest: OciDigest | undefined): Promise<Manifest | undefined> => {
    const stored = digest && (await manifests.want(repository, digest))
    return stored && parseManifest(stored.text, stored.mediaType)
  }

  const pins = {
    /**
     * The image that the name means now: of an index, the one for the architecture of this master. It is not collected for a while from
     * then on. Undefined for an image that a node built and that was never pushed. Fails with `image-not-found`.
     */
    async pin(image: StoredImage): Promise<PinnedImage | undefined> {
      const { repository, tag } = image
      const missing = (why: string): ShadowError =>
        new ShadowError('image-not-found', `the image ${saidOf(image)} ${why}`, {
          hint: `push it: docker push HOST:8080/${repository}:${tag}; shadow images ls`,
        })
      const digest = image.digest ?? (await manifests.digestOf(repository, tag))
      const named = await wanted(image, digest)
      if (digest === undefined && isBuiltTag(tag)) return undefined
      if (named === undefined || digest === undefined) throw missing('is not in the image store')
      if (named.config !== undefined) return { id: named.config, digest }
      const fits = named.manifests.find(
        ({ platform }) => platform?.os === 'linux' && platform.architecture === ARCHITECTURE,
      )
      const own = await wanted(image, fits?.digest)
      if (own?.config === undefined || fits === undefined) throw missing(`has no part for linux/${ARCHITECTURE}`)
      return { id: own.config, digest: fits.digest }
    },
  }
  return {
    ...pins,
    /** What the definition's image is pinned to, if it is in the masters' store; undefined for every other image. */
    async pinOf({ image }: Pick<TaskDefinition, 'image'>): Promise<PinnedImage | undefined> {
      const stored = storedImage(image)
      return stored && pins.pin(stored)
    },
  }
}

const saidOf = ({ repository, tag, digest }: StoredImage): string =>
  digest === undefined ? `${repository}:${tag}` : `${repository}@${digest}`
