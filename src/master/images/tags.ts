import { z } from 'zod'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { isOciDigest, type OciDigest, type Repository } from '../../model/image-store.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'
import { tagKey, tagOfKey, tagsOf } from './keys.ts'

const TagSchema = z.object({
  tag: z.string(),
  digest: z.string().refine(isOciDigest),
  at: z.iso.datetime(),
  /** Set by a node for what it has built, and by no person: the tag alone does not keep the image. */
  isBuild: z.boolean().optional(),
})
export type Tag = z.output<typeof TagSchema>

const AT_ONCE = 16

export type ImageTags = ReturnType<typeof imageTags>

/** The tags of repositories, each in `images/<repository>/_tags/<tag in hexadecimal>.json`. */
export function imageTags({ storage, clock }: { storage: Storage; clock: Clock }) {
  const read = async (key: string): Promise<Tag | undefined> => {
    const stored = await storage.get(key)
    return stored && TagSchema.parse(stored.value)
  }

  const tags = {
    read: (repository: Repository, tag: string): Promise<Tag | undefined> => read(tagKey(repository, tag)),

    of: async (repository: Repository, tag: string): Promise<OciDigest | undefined> =>
      (await tags.read(repository, tag))?.digest,

    /** Lets the tag name this manifest. The last one who sets it wins. */
    set: (repository: Repository, tag: string, digest: OciDigest, isBuild = false): Promise<void> =>
      retryOnConflict(async () => {
        const key = tagKey(repository, tag)
        const stored = await storage.get(key)
        const value: Tag = { tag, digest, at: timestamp(clock), ...(isBuild && { isBuild }) }
        if (stored === undefined) await storage.create(key, value)
        else await storage.update(key, value, stored.etag)
      }),

    /** Removes the tag; the manifest stays. Returns whether it was there. */
    async remove(repository: Repository, tag: string): Promise<boolean> {
      const key = tagKey(repository, tag)
      if ((await storage.get(key)) === undefined) return false
      await storage.remove(key)
      return true
    },

    /** At most `limit` names of tags after this one, in the order of their bytes. */
    async names(repository: Repository, after: string | undefined, limit: number): Promise<readonly string[]> {
      if (limit === 0) return []
      const keys = await storage.list(tagsOf(repository), { after: after && tagKey(repository, after), limit })
      return keys.map(tagOfKey)
    },

    /** All tags of the repository. */
    async all(repository: Repository): Promise<readonly Tag[]> {
      const found = await mapAtMost(AT_ONCE, await storage.list(tagsOf(repository)), read)
      return found.filter(tag => tag !== undefined)
    },

    async removeAllOf(repository: Repository, digest: OciDigest): Promise<void> {
      for (const tag of await tags.all(repository)) if (tag.digest === digest) await tags.remove(repository, tag.tag)
    },
  }
  return tags
}
