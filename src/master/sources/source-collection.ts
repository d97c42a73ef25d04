import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { Sha256 } from '../../model/digest.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { Needed } from '../releases/needed.ts'
import type { Storage } from '../storage/storage.ts'
import { digestOfKey, SOURCES, type SourceStore, sourceKey } from './source-store.ts'

const PAGE = 1_000
const AT_ONCE = 16

type Options = {
  readonly storage: Storage
  readonly store: SourceStore
  readonly needed: Pick<Needed, 'all'>
  readonly clock: Pick<Clock, 'wall'>
  readonly log: Log
}
type Collected = { readonly sources: number; readonly sourceBytes: number }
export type SourceCollection = ReturnType<typeof sourceCollection>

/**
 * Removes sources that no release in reach has, of whatever app, and that nobody wanted for so long. Each removal begins with a conditional
 * write, which fails if somebody wants the source meanwhile; so any number of masters may collect while others deploy.
 */
export function sourceCollection({ storage, store, needed, clock, log }: Options) {
  const { documents, blobs } = store

  /** Removes one, if nobody wanted it for so long; returns its size, or undefined if it stays. */
  const remove = async (digest: Sha256, olderThanMs: number, dryRun: boolean): Promise<number | undefined> => {
    const key = sourceKey(digest)
    const erase = () => blobs.remove(digest)
    const abandoned = dryRun ? undefined : await documents.abandoned(key)
    if (abandoned !== undefined) await documents.remove(key, abandoned, erase)
    const size = await blobs.size(digest)
    const read = await documents.read(key)
    if (read === undefined) {
      // A master of an earlier version has stored it: its time begins now.
      if (!dryRun) await store.wantStored(digest)
      return undefined
    }
    if (clock.wall() - Date.parse(read.value.wantedAt) < olderThanMs) return undefined
    return dryRun || (await documents.remove(key, read.etag, erase)) ? (size ?? 0) : undefined
  }

  return {
    /** With `dryRun` it only says what would be removed. */
    async collect(olderThanMs: number, { dryRun }: { dryRun: boolean }): Promise<Collected> {
      const kept = new Set<Sha256>()
      for await (const { source } of needed.all()) if (source !== undefined) kept.add(source.digest)
      const known = (await storage.list(SOURCES)).flatMap(key => digestOfKey(key) ?? [])
      const all = new Set([...known, ...(await stored(blobs))])
      const unused = [...all].filter(digest => !kept.has(digest))
      const removed = await mapAtMost(AT_ONCE, unused, digest => remove(digest, olderThanMs, dryRun))
      const sizes = removed.filter(size => size !== undefined)
      const collected = { sources: sizes.length, sourceBytes: sizes.reduce((sum, size) => sum + size, 0) }
      if (!dryRun) {
        await blobs.sweep(olderThanMs)
        log.info('sources collected', collected)
      }
      return collected
    },
  }
}

async function stored(blobs: Blobs): Promise<readonly Sha256[]> {
  const all: Sha256[] = []
  for (;;) {
    const page = await blobs.list('', { after: all.at(-1), limit: PAGE })
    all.push(...page)
    if (page.length < PAGE) return all
  }
}
