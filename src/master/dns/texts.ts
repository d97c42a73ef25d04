import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { Storage } from '../storage/storage.ts'

const StoredSchema = z.object({ name: z.string(), value: z.string(), at: z.iso.datetime() })
const FOLDER = 'dns-texts/'
const FORGOTTEN_AFTER_MS = 86_400_000
/** More values than a few orders at a time need are not shown: an answer has to stay short. */
const MOST_VALUES = 16

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)
const folderOf = (name: string): string => `${FOLDER}${hashOf(name)}/`
const keyOf = (name: string, value: string): string => `${folderOf(name)}${hashOf(value)}.json`

export type DnsTexts = ReturnType<typeof dnsTexts>

/**
 * The TXT records that the name servers of the fronts show for orders by DNS, one document `dns-texts/<hash of name>/<hash of value>.json` each: any
 * front may be asked, through any master.
 */
export function dnsTexts({ storage, clock }: { readonly storage: Storage; readonly clock: Clock }) {
  const read = async (key: string) => StoredSchema.safeParse((await storage.get(key))?.value).data
  return {
    async at(name: string): Promise<readonly string[]> {
      const keys = await storage.list(folderOf(name), { limit: MOST_VALUES })
      return (await mapAtMost(MOST_VALUES, keys, read)).flatMap(stored => stored?.value ?? [])
    },

    async set(name: string, value: string): Promise<void> {
      try {
        await storage.create(keyOf(name, value), { name, value, at: timestamp(clock) })
      } catch (error) {
        if (!isFailure(error, 'already-exists')) throw error
      }
    },

    clear: (name: string, value: string) => storage.remove(keyOf(name, value)),

    /** Removes what masters have left that ended in the middle of an order. */
    async tidy(): Promise<void> {
      for (const key of await storage.list(FOLDER)) {
        const stored = await read(key)
        if (stored === undefined || clock.wall() - Date.parse(stored.at) > FORGOTTEN_AFTER_MS) await storage.remove(key)
      }
    },
  }
}
