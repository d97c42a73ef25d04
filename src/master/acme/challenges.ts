import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type Clock, timestamp } from '../../lib/clock.ts'
import type { Storage } from '../storage/storage.ts'

const StoredSchema = z.object({ keyAuthorization: z.string(), at: z.iso.datetime() })
const FOLDER = 'acme-challenges/'
const FORGOTTEN_AFTER_MS = 86_400_000
// Keys of documents have no capital letters.
const keyOf = (token: string): string => `${FOLDER}${createHash('sha256').update(token).digest('hex')}.json`

/** The challenges by HTTP that are open, one document `acme-challenges/<hash of token>.json` each: any front may be asked, through any master. */
export function challengeRecords({ storage, clock }: { storage: Storage; clock: Clock }) {
  const read = async (key: string) => {
    const stored = await storage.get(key)
    return stored && StoredSchema.parse(stored.value)
  }
  return {
    async put(token: string, keyAuthorization: string): Promise<void> {
      await storage.create(keyOf(token), { keyAuthorization, at: timestamp(clock) })
    },
    clear: (token: string) => storage.remove(keyOf(token)),
    find: async (token: string): Promise<string | undefined> => (await read(keyOf(token)))?.keyAuthorization,

    /** Removes what masters have left that ended in the middle of an order. */
    async tidy(): Promise<void> {
      for (const key of await storage.list(FOLDER)) {
        const at = Date.parse((await read(key))?.at ?? '')
        if (clock.wall() - at > FORGOTTEN_AFTER_MS) await storage.remove(key)
      }
    },
  }
}
