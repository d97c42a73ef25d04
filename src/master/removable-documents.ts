import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { type Clock, timestamp } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { retryOnConflict } from './retry.ts'
import type { Storage, Stored } from './storage/storage.ts'

export type Found<T> = { readonly value: T; readonly etag: string }

/** A master that removes something stops if it is not done within this time. */
const REMOVED_WITHIN_MS = 60_000
/** After this time another master goes on with a removal. It is so long that no request of the first one is still on its way. */
const TAKEN_OVER_AFTER_MS = 600_000
/** How long a writer waits for a removal that is under way. */
const WAITS_MS = 10_000

const RemovingSchema = z.object({ removingSince: z.iso.datetime() })

/**
 * Documents that are removed while others may want them. Not every store has a conditional DELETE, so a removal begins with a conditional
 * write: it claims the document, and fails if somebody has changed it. A claimed document counts as removed. Whoever wants to write it waits
 * until it is gone.
 */
export function removableDocuments<T extends object>(
  schema: z.ZodType<T>,
  { storage, clock }: { storage: Storage; clock: Clock },
) {
  const claimOf = ({ value }: Stored): number | undefined => {
    const { data } = RemovingSchema.safeParse(value)
    return data && Date.parse(data.removingSince)
  }
  const isStale = (claimedAt: number): boolean => clock.wall() - claimedAt > TAKEN_OVER_AFTER_MS

  /** The stored document once nobody is removing it. */
  const settled = async (key: string): Promise<Stored | undefined> => {
    for (let waited = 0; ; waited += 50) {
      const stored = await storage.get(key)
      const claimedAt = stored && claimOf(stored)
      if (claimedAt === undefined || isStale(claimedAt)) return stored
      if (waited >= WAITS_MS)
        throw new ShadowError('storage-unreachable', `${key} is being removed`, { retryAfterMs: 1_000 })
      await wait(50)
    }
  }

  const parsed = (key: string, { value, etag }: Stored): Found<T> => {
    const { data, error } = schema.safeParse(value)
    if (error) throw new ShadowError('internal', `the stored document ${key} is not well formed`, { cause: error })
    return { value: data, etag }
  }

  return {
    async read(key: string): Promise<Found<T> | undefined> {
      const stored = await storage.get(key)
      return stored === undefined || claimOf(stored) !== undefined ? undefined : parsed(key, stored)
    },

    /** Writes what `next` makes of the current value. Nothing is written if that is the same value, or undefined. */
    change: <N extends T | undefined>(key: string, next: (now: T | undefined) => N): Promise<N> =>
      retryOnConflict(async () => {
        const stored = await settled(key)
        const now = stored === undefined || claimOf(stored) !== undefined ? undefined : parsed(key, stored).value
        const value = next(now)
        if (value === undefined || value === now) return value
        if (stored === undefined) await storage.create(key, value)
        else await storage.update(key, value, stored.etag)
        return value
      }),

    /**
     * Removes this version of the document, and what belongs to it by `meanwhile`. Returns false, with nothing removed, if it was changed
     * since. Everything may be repeated.
     */
    async remove(key: string, etag: string, meanwhile: () => Promise<void>): Promise<boolean> {
      const until = clock.now() + REMOVED_WITHIN_MS
      const mustBeInTime = (): void => {
        if (clock.now() > until) throw new ShadowError('storage-unreachable', `removing ${key} took too long`)
      }
      try {
        await storage.update(key, { removingSince: timestamp(clock) }, etag)
      } catch (error) {
        if (isFailure(error, 'changed')) return false
        throw error
      }
      mustBeInTime()
      await meanwhile()
      mustBeInTime()
      await storage.remove(key)
      return true
    },

    /** The version of a document that a master has claimed long ago and never removed; undefined for every other document. */
    async abandoned(key: string): Promise<string | undefined> {
      const stored = await storage.get(key)
      const claimedAt = stored && claimOf(stored)
      return claimedAt !== undefined && isStale(claimedAt) ? stored?.etag : undefined
    },
  }
}
