import { z } from 'zod'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { Seals } from '../../lib/seals.ts'
import type { Storage } from '../storage/storage.ts'

const KEY = 'ssh/host-key.json'
const CONTEXT = 'the host key of the SSH server'
const StoredSchema = z.object({ sealedKey: z.string(), fingerprint: z.string() })

type Parts = { readonly storage: Storage; readonly seals: Seals }
type Made = { readonly key: string; readonly fingerprint: string }

/** The host key that all masters share, encrypted in the store. The first master that serves SSH makes it by `make`. */
export async function hostKey({ storage, seals }: Parts, make: () => Made): Promise<Made> {
  const stored = await storage.get(KEY)
  if (stored !== undefined) {
    const { sealedKey, fingerprint } = StoredSchema.parse(stored.value)
    return { key: seals.open(sealedKey, CONTEXT), fingerprint }
  }
  const made = make()
  try {
    await storage.create(KEY, { sealedKey: seals.seal(made.key, CONTEXT), fingerprint: made.fingerprint })
    return made
  } catch (error) {
    if (!isFailure(error, 'already-exists')) throw error
  }
  const others = await storage.get(KEY)
  if (others === undefined) throw new ShadowError('changed', 'the host key was removed while it was read')
  const { sealedKey, fingerprint } = StoredSchema.parse(others.value)
  return { key: seals.open(sealedKey, CONTEXT), fingerprint }
}

/** The fingerprint of the host key; null if no master has served SSH yet. */
export async function hostFingerprint(storage: Storage): Promise<string | null> {
  const stored = await storage.get(KEY)
  return stored === undefined ? null : StoredSchema.parse(stored.value).fingerprint
}
