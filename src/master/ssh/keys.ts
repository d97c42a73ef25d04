import { createHash } from 'node:crypto'
import { z } from 'zod'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { AppName } from '../../model/names.ts'
import type { Storage } from '../storage/storage.ts'
import { fingerprintOf, parsePublicKey } from './public-key.ts'

const StoredSchema = z.object({
  name: z.string(),
  algorithm: z.string(),
  fingerprint: z.string(),
  apps: z.array(z.string()).nullable(),
  createdAt: z.iso.datetime(),
})
type Stored = z.output<typeof StoredSchema>

export type SshKey = Omit<Stored, 'apps'> & { readonly apps: AppName[] | null }
export type SshKeys = ReturnType<typeof sshKeys>

const FOLDER = 'ssh/keys/'
const MOST_KEYS = 10_000

/** The public keys that open apps by SSH, one document `ssh/keys/<sha256 of the key>.json` each: to look one up is one read. */
export function sshKeys({ storage, clock }: { storage: Storage; clock: Clock }) {
  const at = (bytes: Buffer): string => `${FOLDER}${createHash('sha256').update(bytes).digest('hex')}.json`
  const parsed = (value: unknown): SshKey => StoredSchema.parse(value) as SshKey

  const all = async (): Promise<{ at: string; key: SshKey }[]> => {
    const keys = await storage.list(FOLDER, { limit: MOST_KEYS })
    const found = await mapAtMost(16, keys, async key => ({ key, stored: await storage.get(key) }))
    return found.flatMap(({ key, stored }) => (stored ? [{ at: key, key: parsed(stored.value) }] : []))
  }

  return {
    /** The registered key with these bytes; undefined if there is none. */
    async find(bytes: Buffer): Promise<SshKey | undefined> {
      const stored = await storage.get(at(bytes))
      return stored && parsed(stored.value)
    },

    async list(): Promise<SshKey[]> {
      return (await all()).map(({ key }) => key).toSorted((a, b) => a.name.localeCompare(b.name))
    },

    /** Registers a key; fails with `bad-input` and `already-exists`. */
    async add(name: string, line: string, apps: AppName[] | undefined): Promise<SshKey> {
      const { algorithm, bytes } = parsePublicKey(line)
      if ((await all()).some(({ key }) => key.name === name))
        throw new ShadowError('already-exists', `a key is called ${name} already`, { hint: `shadow keys rm ${name}` })
      const key = {
        name,
        algorithm,
        fingerprint: fingerprintOf({ bytes }),
        apps: apps ?? null,
        createdAt: timestamp(clock),
      }
      try {
        await storage.create(at(bytes), key)
      } catch (error) {
        if (!isFailure(error, 'already-exists')) throw error
        const known = await this.find(bytes)
        throw new ShadowError('already-exists', `this key is registered as ${known?.name ?? 'another one'}`)
      }
      return key
    },

    /** Removes the key of this name, if it may be removed; fails with `not-found`. */
    async remove(name: string, mayRemove: (key: SshKey) => boolean = () => true): Promise<void> {
      const found = (await all()).filter(({ key }) => key.name === name && mayRemove(key))
      if (found.length === 0) throw new ShadowError('not-found', `no key is called ${name}`, { hint: 'shadow keys ls' })
      for (const { at } of found) await storage.remove(at)
    },
  }
}
