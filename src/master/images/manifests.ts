import { z } from 'zod'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { isOciDigest, type OciDigest, type Repository } from '../../model/image-store.ts'
import { removableDocuments } from '../removable-documents.ts'
import type { Storage } from '../storage/storage.ts'
import { type ImageBlobs, isWantedNow } from './blobs.ts'
import { fault } from './faults.ts'
import { digestOfKey, manifestKey, manifestsOf, parseKey, referrerKey, referrersOf } from './keys.ts'
import { digestOfText, type Manifest, parseManifest } from './manifest.ts'
import type { ImageTags } from './tags.ts'

const ManifestSchema = z.object({
  /** The manifest byte for byte: its digest is its name. */
  text: z.string(),
  mediaType: z.string(),
  pushedAt: z.iso.datetime(),
  wantedAt: z.iso.datetime(),
})
export type StoredManifest = z.output<typeof ManifestSchema>

const AT_ONCE = 16
const MOST_REFERRERS = 1_000

/** An entry of the list of manifests that are about another one. */
export type Referrer = {
  readonly mediaType: string
  readonly digest: OciDigest
  readonly size: number
  readonly artifactType?: string | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
}
type ListedManifest = {
  readonly repository: Repository
  readonly digest: OciDigest
  readonly pushedAt: string
  readonly manifest: Manifest
}
type Put = {
  readonly type: string | undefined
  readonly digest?: OciDigest
  /** The tags that shall name it. */
  readonly named: readonly string[]
  /** A node has built it, and these tags alone do not keep it. */
  readonly isBuild?: boolean
}
type Options = {
  readonly storage: Storage
  readonly blobs: ImageBlobs
  readonly tags: ImageTags
  readonly clock: Clock
  /** Fails if an app needs the manifest. */
  readonly mustNotBeNeeded: (repository: Repository, digest: OciDigest) => Promise<void>
}
export type ImageManifests = ReturnType<typeof imageManifests>

/** The manifests of images, each in `images/<repository>/_manifests/<digest>.json`. */
export function imageManifests({ storage, blobs, tags, clock, mustNotBeNeeded }: Options) {
  const documents = removableDocuments(ManifestSchema, { storage, clock })

  const touch = (repository: Repository, digest: OciDigest): Promise<StoredManifest | undefined> =>
    documents.change(manifestKey(repository, digest), now =>
      now === undefined || isWantedNow(clock, now) ? now : { ...now, wantedAt: timestamp(clock) },
    )

  /** Fails unless the repository has all that the manifest needs. It is not collected for a while from then on. */
  const mustBeWhole = async (repository: Repository, manifest: Manifest): Promise<void> => {
    await mapAtMost(AT_ONCE, manifest.blobs, async digest => {
      if ((await blobs.want(repository, digest)) === undefined)
        throw fault('MANIFEST_BLOB_UNKNOWN', `the manifest names the blob ${digest}, which ${repository} does not have`)
    })
    await mapAtMost(AT_ONCE, manifest.manifests, async ({ digest }) => {
      if ((await touch(repository, digest)) === undefined)
        throw fault(
          'MANIFEST_BLOB_UNKNOWN',
          `the index names the manifest ${digest}, which ${repository} does not have`,
        )
    })
  }

  const manifests = {
    documents,
    refer,

    /** The manifest with this digest. */
    of: async (repository: Repository, digest: OciDigest): Promise<StoredManifest | undefined> =>
      (await documents.read(manifestKey(repository, digest)))?.value,

    /** The same, for somebody who makes an app or another manifest need it. */
    want: touch,

    /** The digest that the reference, a tag or a digest, means; undefined for a tag that is not there. */
    digestOf: async (repository: Repository, reference: string): Promise<OciDigest | undefined> =>
      isOciDigest(reference) ? reference : tags.of(repository, reference),

    /** Stores a manifest, and lets the tags name it. */
    async put(
      repository: Repository,
      text: string,
      { type, digest: expected, named, isBuild = false }: Put,
    ): Promise<{ digest: OciDigest; manifest: Manifest }> {
      const digest = digestOfText(text, expected?.slice(0, expected.indexOf(':')) ?? 'sha256')
      if (expected !== undefined && digest !== expected)
        throw fault('DIGEST_INVALID', `the manifest has the digest ${digest}, not ${expected}`)
      const manifest = parseManifest(text, type)
      await mustBeWhole(repository, manifest)
      // Before the manifest: a list of referrers leaves out what is not there.
      if (manifest.subject !== undefined) await refer(repository, manifest.subject, digest)
      const at = timestamp(clock)
      await documents.change(manifestKey(repository, digest), now => ({
        text,
        mediaType: manifest.mediaType,
        pushedAt: now?.pushedAt ?? at,
        wantedAt: at,
      }))
      // A collection may have taken an entry of long ago for a leftover.
      if (manifest.subject !== undefined) await refer(repository, manifest.subject, digest)
      for (const tag of named) await tags.set(repository, tag, digest, isBuild)
      return { digest, manifest }
    },

    /** Removes the manifest, and the tags that name it. Fails with MANIFEST_UNKNOWN, and with DENIED if an app needs it. */
    async remove(repository: Repository, digest: OciDigest): Promise<void> {
      const found = await documents.read(manifestKey(repository, digest))
      if (found === undefined) throw fault('MANIFEST_UNKNOWN', `${repository} has no manifest ${digest}`)
      await mustNotBeNeeded(repository, digest)
      await tags.removeAllOf(repository, digest)
      await manifests.erase(repository, digest, found.etag)
    },

    /** Removes this version of the manifest's document. Returns false if it was changed since. */
    async erase(repository: Repository, digest: OciDigest, etag: string): Promise<boolean> {
      const stored = await manifests.of(repository, digest)
      const { subject } = stored ? parseManifest(stored.text, stored.mediaType) : {}
      return documents.remove(manifestKey(repository, digest), etag, async () => {
        if (subject !== undefined) await storage.remove(referrerKey(repository, subject, digest))
      })
    },

    /** The manifests of the repository that are about this one. `next`: the last of them, if there are more. */
    async referrers(
      repository: Repository,
      subject: OciDigest,
      after: OciDigest | undefined,
    ): Promise<{ items: readonly Referrer[]; next: OciDigest | undefined }> {
      const keys = await storage.list(referrersOf(repository, subject), {
        after: after && referrerKey(repository, subject, after),
        limit: MOST_REFERRERS,
      })
      const found = await mapAtMost(AT_ONCE, keys, async key => {
        const digest = digestOfKey(key)
        const stored = digest && (await manifests.of(repository, digest))
        return stored === undefined || digest === undefined ? undefined : describe(digest, stored)
      })
      return {
        items: found.filter(item => item !== undefined),
        next: keys.length < MOST_REFERRERS ? undefined : digestOfKey(keys.at(-1) ?? ''),
      }
    },

    /** All manifests of the repository, or of all, oldest first in each. */
    async list(repository: Repository | undefined): Promise<readonly ListedManifest[]> {
      const keys = await storage.list(repository === undefined ? 'images/' : manifestsOf(repository))
      const found = await mapAtMost(AT_ONCE, keys, async key => {
        const named = parseKey(key)
        const read = named?.kind === 'manifest' ? await documents.read(key) : undefined
        if (named?.kind !== 'manifest' || read === undefined) return undefined
        const { text, mediaType, pushedAt } = read.value
        return {
          repository: named.repository,
          digest: named.digest,
          pushedAt,
          manifest: parseManifest(text, mediaType),
        }
      })
      const order = (one: ListedManifest): string => `${one.repository} ${one.pushedAt} ${one.digest}`
      return found.filter(one => one !== undefined).sort((a, b) => (order(a) < order(b) ? -1 : 1))
    },

    /** A manifest of the repository that names this blob. */
    naming: async (repository: Repository, blob: OciDigest): Promise<OciDigest | undefined> =>
      (await manifests.list(repository)).find(({ manifest }) => manifest.blobs.includes(blob))?.digest,

    /** Whether the repository has anything. */
    isEmpty: async (repository: Repository): Promise<boolean> =>
      (await storage.list(manifestsOf(repository), { limit: 1 })).length === 0,
  }

  async function refer(repository: Repository, subject: OciDigest, digest: OciDigest): Promise<void> {
    try {
      await storage.create(referrerKey(repository, subject, digest), { at: timestamp(clock) })
    } catch (error) {
      if (!isFailure(error, 'already-exists')) throw error
    }
  }
  return manifests
}

function describe(digest: OciDigest, { text, mediaType }: StoredManifest): Referrer {
  const { artifactType, annotations } = parseManifest(text, mediaType)
  return { mediaType, digest, size: Buffer.byteLength(text), artifactType, annotations }
}
