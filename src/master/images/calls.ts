import type { imageCalls } from '../../api/image-calls.ts'
import { ShadowError } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { imageByDigest, ociDigest, repository } from '../../model/image-store.ts'
import { toMs } from '../../model/quantities.ts'
import type { Handlers } from '../call.ts'
import type { Permits } from '../permits.ts'
import type { StoreCollection } from '../store-collection.ts'
import { sendBlob } from './http.ts'
import { parseManifest } from './manifest.ts'
import type { NeededImages } from './needed.ts'
import type { ImageStore } from './store.ts'

type Parts = {
  readonly store: ImageStore
  readonly needed: NeededImages
  readonly collection: StoreCollection
  readonly permits: Pick<Permits, 'mustReadImage'>
}
export type ImageParts = Omit<Parts, 'permits'>

const AT_ONCE = 16

/** The handlers of the calls about the image store. */
export function imageHandlers({ store, needed, collection, permits }: Parts): Pick<Handlers, keyof typeof imageCalls> {
  const { manifests, blobs, tags } = store
  return {
    async listImages({ query: { repository, after, limit } }) {
      const all = (await manifests.list(repository)).map(one => ({
        ...one,
        name: imageByDigest(one.repository, one.digest),
      }))
      const from = after === undefined ? 0 : all.findIndex(({ name }) => name === after) + 1
      const page = all.slice(from, from + limit)
      const apps = await needed()
      const names = [...new Set(page.map(one => one.repository))]
      const tagged = new Map(await mapAtMost(AT_ONCE, names, async name => [name, await tags.all(name)] as const))
      const items = page.map(({ name, repository, digest, manifest, pushedAt }) => ({
        repository,
        tags: (tagged.get(repository) ?? []).filter(tag => tag.digest === digest).map(({ tag }) => tag),
        digest,
        mediaType: manifest.mediaType,
        bytes: manifest.bytes,
        pushedAt,
        apps: [...(apps.get(name) ?? [])].sort(),
      }))
      return { value: { items, next: from + limit < all.length ? (page.at(-1)?.name ?? null) : null } }
    },

    async removeImage({ query: { image } }) {
      const [, name = '', digest, tag] = /^(?:master\.shadow\/)?([^:@]+)(?:@(.+)|:(.+))$/.exec(image) ?? []
      const known = repository(name)
      if (digest !== undefined) return manifests.remove(known, ociDigest(digest))
      if (tag === undefined || !(await tags.remove(known, tag)))
        throw new ShadowError('not-found', `there is no image ${image}`, { hint: 'shadow images ls' })
    },

    async pruneImages({ body: { olderThan, dryRun } }) {
      const { images, ...counts } = await collection.collect(toMs(olderThan), { dryRun })
      return { value: { images: [...images], ...counts } }
    },

    async readImage({ params: { part }, query: { repository, image } }, { caller, permit, request, response, signal }) {
      permits.mustReadImage(repository, image, caller, permit)
      const stored = await manifests.of(repository, image)
      if (stored === undefined) throw new ShadowError('not-found', `there is no image ${repository}@${image}`)
      if (part === image) {
        response.writeHead(200, {
          'content-type': stored.mediaType,
          'content-length': Buffer.byteLength(stored.text),
          'docker-content-digest': image,
        })
        response.end(stored.text)
        return
      }
      const isPart = parseManifest(stored.text, stored.mediaType).blobs.includes(part)
      const blob = isPart ? await blobs.of(repository, part) : undefined
      if (blob === undefined) throw new ShadowError('not-found', `the image ${repository}@${image} has no part ${part}`)
      await sendBlob({ request, response }, part, blob, range => blobs.read(blob, range, signal))
    },
  }
}
