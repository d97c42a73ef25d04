import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { imageByDigest, type OciDigest, type Repository } from '../../model/image-store.ts'
import type { Storage } from '../storage/storage.ts'
import { contentDigest } from './blobs.ts'
import { type Named, parseKey } from './keys.ts'
import { type Manifest, parseManifest } from './manifest.ts'
import type { NeededImages } from './needed.ts'
import type { ImageStore } from './store.ts'
import { parseUpload, UPLOAD_LAPSES_MS } from './uploads.ts'

const AT_ONCE = 16
/** Clocks of masters differ, and an upload that one of them still takes must not be removed by another. */
const CLOCKS_DIFFER_MS = 3_600_000

type Options = {
  readonly storage: Storage
  readonly store: ImageStore
  readonly needed: NeededImages
  readonly clock: Clock
  readonly log: Log
}
/** What a collection removes, or would remove. */
export type Collected = {
  readonly images: readonly { readonly repository: Repository; readonly digest: OciDigest }[]
  readonly blobs: number
  /** The size of the contents of these blobs. */
  readonly bytes: number
  readonly uploads: number
}
export type ImageCollection = ReturnType<typeof imageCollection>

type FoundManifest = {
  readonly repository: Repository
  readonly digest: OciDigest
  readonly etag: string
  readonly isYoung: boolean
  readonly manifest: Manifest
}
type Keys = { readonly [K in Named['kind']]: readonly (Extract<Named, { kind: K }> & { readonly key: string })[] }

/**
 * Removes images and layers that nothing needs. A manifest is needed by a tag (but not by that of a build), by an app, by an index, and by being about a manifest that is
 * needed; a blob by a manifest, and by an upload. Whatever somebody wanted within `olderThanMs` stays as well: a push in
 * progress asks for what it builds on. Each removal begins with a conditional write, so it fails if somebody wants the thing meanwhile; any
 * number of masters may collect at once.
 */
export function imageCollection({ storage, store, needed, clock, log }: Options) {
  const { manifests, blobs, tags } = store

  const collect = async (olderThanMs: number, dryRun: boolean): Promise<Collected> => {
    const isYoung = ({ wantedAt }: { wantedAt: string }): boolean => clock.wall() - Date.parse(wantedAt) < olderThanMs
    const keys = grouped(await storage.list('images/'))
    const found = await foundManifests(keys, isYoung)
    const kept = await keptOf(keys, found)
    const removable = found.filter(one => !kept.has(nameOf(one)))
    const gone = dryRun
      ? removable
      : await filterAtMost(removable, ({ repository, digest, etag }) => manifests.erase(repository, digest, etag))
    const isGone = new Set(gone.map(nameOf))
    // A manifest that somebody wanted just now stays, and so do its blobs.
    const used = usedBlobs(found.filter(one => !isGone.has(nameOf(one))))
    const uploads = await unfinished(keys, used)
    const removed = await collectBlobs(keys, used, isYoung, dryRun)
    if (!dryRun) {
      for (const key of uploads) await storage.remove(key)
      await dropReferrers(keys, olderThanMs)
      await dropTags(keys)
      await blobs.sweep(Math.max(olderThanMs, UPLOAD_LAPSES_MS))
    }
    return {
      images: gone.map(({ repository, digest }) => ({ repository, digest })),
      blobs: removed.length,
      bytes: removed.reduce((sum, bytes) => sum + bytes, 0),
      uploads: uploads.length,
    }
  }

  const foundManifests = async (
    keys: Keys,
    isYoung: (of: { wantedAt: string }) => boolean,
  ): Promise<readonly FoundManifest[]> => {
    const all = await mapAtMost(AT_ONCE, keys.manifest, async ({ repository, digest, key }) => {
      await finishAbandoned(key, manifests.documents, async () => undefined)
      const read = await manifests.documents.read(key)
      if (read === undefined) return undefined
      const { value, etag } = read
      return { repository, digest, etag, isYoung: isYoung(value), manifest: parseManifest(value.text, value.mediaType) }
    })
    return all.filter(one => one !== undefined)
  }

  /** The names of the manifests that are needed. */
  const keptOf = async (keys: Keys, found: readonly FoundManifest[]): Promise<ReadonlySet<string>> => {
    const byName = new Map(found.map(one => [nameOf(one), one]))
    const kept = new Set<string>()
    const keep = (name: string): void => {
      const one = byName.get(name)
      if (one === undefined || kept.has(name)) return
      kept.add(name)
      for (const { digest } of one.manifest.manifests) keep(nameOf({ repository: one.repository, digest }))
      for (const about of aboutOf.get(name) ?? []) keep(about)
    }
    const aboutOf = Map.groupBy(found.filter(({ manifest }) => manifest.subject !== undefined).map(nameOf), name =>
      subjectNameOf(byName.get(name) as FoundManifest),
    )
    const tagged = await mapAtMost(AT_ONCE, keys.tag, async ({ repository, tag }) => {
      const found = await tags.read(repository, tag)
      return found === undefined || found.isBuild ? undefined : nameOf({ repository, digest: found.digest })
    })
    for (const name of [...tagged, ...(await needed()).keys()]) if (name !== undefined) keep(name)
    for (const one of found) if (one.isYoung) keep(nameOf(one))
    return kept
  }

  /** The keys of uploads that have lapsed. The chunks of all others are added to what is used. */
  const unfinished = async (keys: Keys, used: Set<OciDigest>): Promise<readonly string[]> => {
    const lapsed = await mapAtMost(AT_ONCE, keys.upload, async ({ key }) => {
      const stored = await storage.get(key)
      if (stored === undefined) return undefined
      const upload = parseUpload(stored)
      if (clock.wall() - Date.parse(upload.at) > UPLOAD_LAPSES_MS + CLOCKS_DIFFER_MS) return key
      for (const { content } of upload.chunks) used.add(contentDigest(content))
      return undefined
    })
    return lapsed.filter(key => key !== undefined)
  }

  /** Removes blobs that are not used; returns the sizes of their contents. */
  const collectBlobs = async (
    keys: Keys,
    used: Set<OciDigest>,
    isYoung: (of: { wantedAt: string }) => boolean,
    dryRun: boolean,
  ): Promise<readonly number[]> => {
    const all = await mapAtMost(AT_ONCE, keys.blob, async ({ digest, key }) => {
      await finishAbandoned(key, blobs.documents, () => blobs.erase(digest))
      const read = await blobs.documents.read(key)
      if (read === undefined) return undefined
      // A blob by another digest has its content from the blob by its SHA-256.
      if (used.has(digest) || isYoung(read.value)) used.add(contentDigest(read.value.content))
      return { digest, key, ...read }
    })
    const unused = all.filter(one => one !== undefined).filter(one => !used.has(one.digest) && !isYoung(one.value))
    const removed = dryRun
      ? unused
      : await filterAtMost(unused, ({ digest, key, etag }) =>
          blobs.documents.remove(key, etag, () => blobs.erase(digest)),
        )
    return removed.map(({ digest, value }) => (contentDigest(value.content) === digest ? value.bytes : 0))
  }

  /** Goes on with a removal that a master began and did not end. */
  const finishAbandoned = async (
    key: string,
    documents: Pick<typeof manifests.documents, 'abandoned' | 'remove'>,
    erase: () => Promise<void>,
  ): Promise<void> => {
    const etag = await documents.abandoned(key)
    if (etag !== undefined) await documents.remove(key, etag, erase)
  }

  /** Removes entries of lists of referrers whose manifest is gone. */
  const dropReferrers = async (keys: Keys, olderThanMs: number): Promise<void> => {
    await mapAtMost(AT_ONCE, keys.referrer, async ({ repository, subject, digest, key }) => {
      const stored = await storage.get(key)
      const at = Date.parse((stored?.value as { at?: string } | undefined)?.at ?? '')
      const isThere = async (): Promise<boolean> => (await manifests.of(repository, digest)) !== undefined
      if (stored === undefined || clock.wall() - at < olderThanMs || (await isThere())) return
      await storage.remove(key)
      // It may have been pushed again meanwhile.
      if (await isThere()) await manifests.refer(repository, subject, digest)
    })
  }

  /** Removes tags of builds whose image is gone. */
  const dropTags = async (keys: Keys): Promise<void> => {
    await mapAtMost(AT_ONCE, keys.tag, async ({ repository, tag }) => {
      const found = await tags.read(repository, tag)
      const isThere = async (): Promise<boolean> =>
        found !== undefined && (await manifests.of(repository, found.digest)) !== undefined
      if (found?.isBuild !== true || (await isThere())) return
      await tags.remove(repository, tag)
      // It may have been built again meanwhile.
      if (await isThere()) await tags.set(repository, tag, found.digest, true)
    })
  }

  return {
    /** Removes what nothing needs and nobody wanted for so long. With `dryRun` it only says what would be removed. */
    async collect(olderThanMs: number, { dryRun }: { dryRun: boolean }): Promise<Collected> {
      const collected = await collect(olderThanMs, dryRun)
      const { images, blobs, bytes, uploads } = collected
      if (!dryRun) log.info('images collected', { images: images.length, blobs, bytes, uploads })
      return collected
    },
  }
}

const nameOf = ({ repository, digest }: { repository: Repository; digest: OciDigest }): string =>
  imageByDigest(repository, digest)

const subjectNameOf = ({ repository, manifest }: FoundManifest): string =>
  manifest.subject === undefined ? '' : nameOf({ repository, digest: manifest.subject })

const usedBlobs = (found: readonly FoundManifest[]): Set<OciDigest> =>
  new Set(found.flatMap(({ manifest }) => manifest.blobs))

/** The items for which the removal succeeded. A store that is away ends the collection; the next one goes on. */
async function filterAtMost<T>(items: readonly T[], remove: (item: T) => Promise<boolean>): Promise<readonly T[]> {
  const removed = await mapAtMost(AT_ONCE, items, remove)
  return items.filter((_, index) => removed[index])
}

function grouped(keys: readonly string[]): Keys {
  const groups = { blob: [], manifest: [], tag: [], upload: [], referrer: [] } as { [K in Named['kind']]: unknown[] }
  for (const key of keys) {
    const named = parseKey(key)
    if (named !== undefined) groups[named.kind].push({ ...named, key })
  }
  return groups as Keys
}
