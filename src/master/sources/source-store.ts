import { z } from 'zod'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type Sha256, sha256 } from '../../model/digest.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { removableDocuments } from '../removable-documents.ts'
import type { Storage } from '../storage/storage.ts'

const SourceSchema = z.object({
  /** When somebody last stored it, asked for it to deploy it, or made a release of it. It is not collected for a while from then on. */
  wantedAt: z.iso.datetime(),
})

/** How exactly `wantedAt` is kept. */
const WANTED_EVERY_MS = 600_000

export const SOURCES = 'sources/'
export const sourceKey = (digest: Sha256): string => `${SOURCES}${digest}.json`

/** The digest of the source with this key; undefined for another key. */
export const digestOfKey = (key: string): Sha256 | undefined => {
  const hex = /^sources\/([0-9a-f]{64})\.json$/.exec(key)?.[1]
  return hex === undefined ? undefined : sha256(hex)
}

export type SourceStore = ReturnType<typeof sourceStore>

/** The sources of apps: tars, each a blob by its digest. A document `sources/<digest>.json` for each says when it was last wanted. */
export function sourceStore({ storage, blobs, clock }: { storage: Storage; blobs: Blobs; clock: Clock }) {
  const documents = removableDocuments(SourceSchema, { storage, clock })

  const want = async (digest: Sha256): Promise<void> => {
    await documents.change(sourceKey(digest), now =>
      now !== undefined && clock.wall() - Date.parse(now.wantedAt) < WANTED_EVERY_MS
        ? now
        : { wantedAt: timestamp(clock) },
    )
  }

  const store = {
    documents,
    blobs,

    /** For somebody who is about to store it: it is not collected for a while, whether it is there already or not. */
    want,

    /** The same, if it is there; returns its size, or undefined. */
    async wantStored(digest: Sha256): Promise<number | undefined> {
      if ((await blobs.size(digest)) === undefined) return undefined
      await want(digest)
      return blobs.size(digest) // the removal of one that was under way has ended by now
    },

    /** Fails with `bad-input` if it is not stored: a revision with it could never run. */
    async mustHave(digest: Sha256): Promise<void> {
      if ((await store.wantStored(digest)) !== undefined) return
      const message = `there is no blob ${digest}; store it first, by PUT /v1/blobs/${digest}`
      throw new ShadowError('bad-input', `source.digest: ${message}`, {
        faults: [{ field: 'source.digest', message }],
        hint: 'shadow deploy does both',
      })
    },
  }
  return store
}
