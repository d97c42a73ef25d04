import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Seals } from '../../lib/seals.ts'
import { newPrivateKey } from '../../lib/tls/x509.ts'
import type { Storage } from '../storage/storage.ts'

const StoredSchema = z.object({
  directory: z.string(),
  sealedKey: z.string(),
  url: z.string().nullable(),
  createdAt: z.iso.datetime(),
})

/** An account at an authority; `url` is null until the authority has made it. */
export type Account = { readonly key: string; readonly url: string | null }
export type Accounts = ReturnType<typeof accountRecords>

export const ACCOUNTS = 'acme-accounts/'
const contextOf = (directory: string): string => `the key of the ACME account at ${directory}`

/** The accounts, one document `acme-accounts/<hash of directory>.json` for each authority. */
export function accountRecords({ storage, seals, clock }: { storage: Storage; seals: Seals; clock: Clock }) {
  const keyOf = (directory: string): string =>
    `${ACCOUNTS}${createHash('sha256').update(directory).digest('hex').slice(0, 32)}.json`
  const read = async (directory: string) => {
    const stored = await storage.get(keyOf(directory))
    return stored && { ...StoredSchema.parse(stored.value), etag: stored.etag }
  }

  return {
    /** The account at this authority. Its key is kept before the authority is told of it, so that no account is lost. */
    async at(directory: string): Promise<Account> {
      const found = await read(directory)
      if (found !== undefined) return { key: seals.open(found.sealedKey, contextOf(directory)), url: found.url }
      const key = newPrivateKey()
      const sealedKey = seals.seal(key, contextOf(directory))
      try {
        await storage.create(keyOf(directory), { directory, sealedKey, url: null, createdAt: timestamp(clock) })
        return { key, url: null }
      } catch (error) {
        if (!isFailure(error, 'already-exists')) throw error
        return this.at(directory) // another master was first
      }
    },

    /** Keeps where the account is; null: the authority does not know it any more. */
    async setUrl(directory: string, url: string | null): Promise<void> {
      const found = await read(directory)
      if (found === undefined || found.url === url) return
      const { etag, ...document } = found
      try {
        await storage.update(keyOf(directory), { ...document, url }, etag)
      } catch (error) {
        // Another order has just written it. The key is the same, so the authority has given it the same URL.
        if (!isFailure(error, 'changed')) throw error
      }
    },
  }
}

/** The document with its key encrypted by the newest key for secrets; undefined if it is so already. */
export function resealedAccount(value: object, seals: Seals): object | undefined {
  const { directory, sealedKey } = StoredSchema.parse(value)
  if (seals.isCurrent(sealedKey)) return undefined
  return { ...value, sealedKey: seals.seal(seals.open(sealedKey, contextOf(directory)), contextOf(directory)) }
}
