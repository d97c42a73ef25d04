import { rm } from 'node:fs/promises'
import { z } from 'zod'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { writeWhole } from '../lib/files.ts'
import type { Log } from '../lib/log.ts'
import { mapAtMost } from '../lib/parallel.ts'
import { readPrivate } from '../lib/private-file.ts'
import { newSealKey, Seals, sealKeys } from '../lib/seals.ts'
import { ACCOUNTS, resealedAccount } from './acme/accounts.ts'
import { CERTIFICATES, resealedCertificate } from './acme/certificates.ts'
import { resealedBackups } from './backups/records.ts'
import { resealedAuthority } from './cluster/authority.ts'
import { resealedRevision } from './history.ts'
import { resealedWebhook } from './notices/webhooks.ts'
import { resealedSecrets } from './releases/secret-documents.ts'
import { isSealed, openTask, sealTask } from './sealed-task.ts'
import type { Storage } from './storage/storage.ts'

/** `secrets/keys.json`: the name of the key that encrypts the store, and of the key with which all documents were last rewritten. */
const RegisterSchema = z.object({ key: z.string(), rewrittenWith: z.string().nullable() })
const REGISTER = 'secrets/keys.json'
const AT_ONCE = 32

type Options = {
  readonly storage: Storage
  /** The keys from the setting, the newest first. Undefined: the key file is read, and created if the store has no key yet. */
  readonly keys: readonly Buffer[] | undefined
  readonly file: string
  readonly log: Log
}

/**
 * Opens the keys that encrypt secrets in the store; the keys are never in the store itself. Fails with `secret-unreadable` if the store
 * is encrypted with a key that is not among them: two masters with different keys could not read each other's documents.
 */
export async function openSecrets({ storage, keys: given, file, log }: Options): Promise<Seals> {
  const kept = given === undefined ? await readPrivate(file) : undefined
  const isNew = given === undefined && kept === undefined
  const registered = await read(storage)
  if (isNew && registered !== undefined) throw foreign(storage, registered.key, `there is no file ${file}`)
  const text = kept ?? newSealKey()
  const seals = new Seals(given ?? keysIn(file, text))
  if (isNew) await writeWhole(file, `${text}\n`)
  try {
    await register(storage, seals)
  } catch (error) {
    if (isNew) await rm(file, { force: true }) // another master was first: its key counts
    throw error
  }
  if (isNew) log.info('key for secrets made', { file, key: seals.id })
  return seals
}

/**
 * Encrypts documents that are stored in clear or with an older key, once for each new key. A document that changes meanwhile is skipped:
 * its writer encrypts it.
 */
export async function rewriteSecrets(storage: Storage, seals: Seals, log: Log): Promise<void> {
  const before = await read(storage)
  if (before === undefined || before.rewrittenWith === seals.id) return
  let count = 0
  const rewrite = async (key: string, next: (value: never, key: string) => object | undefined): Promise<void> => {
    const stored = await storage.get(key)
    const value = stored && next(stored.value as never, key)
    if (stored === undefined || value === undefined) return
    await storage.update(key, value, stored.etag).catch(unlessChanged)
    count++
  }
  const again = (task: unknown) => (isSealed(task, seals) ? undefined : sealTask(openTask(task, seals), seals))
  for (const [prefix, next] of [
    ['apps/', (app: { task?: unknown }) => withTask(app, app.task === undefined ? undefined : again(app.task))],
    ['tasks/', (task: object) => resealedRevision(task, seals)],
    ['secrets/', (secrets: object) => resealedSecrets(secrets, seals)],
    ['cluster/', (ca: { sealedKey: string }) => resealedAuthority(ca, seals)],
    ['backup-records/', (record: object, key: string) => resealedBackups(key, record, seals)],
    ['webhooks/', (webhook: object) => resealedWebhook(webhook, seals)],
    [ACCOUNTS, (account: object) => resealedAccount(account, seals)],
    [CERTIFICATES, (certificate: object) => resealedCertificate(certificate, seals)],
  ] as const)
    await mapAtMost(AT_ONCE, await storage.list(prefix), key => rewrite(key, next))
  await storage.update(REGISTER, { key: before.key, rewrittenWith: seals.id }, before.etag).catch(unlessChanged)
  if (count > 0) log.info('stored secrets encrypted anew', { documents: count, key: seals.id })
}

const withTask = (app: object, task: object | undefined) => (task === undefined ? undefined : { ...app, task })

/** Registers the newest key as the key of the store. */
async function register(storage: Storage, seals: Seals): Promise<void> {
  for (;;) {
    const before = await read(storage)
    if (before?.key === seals.id) return
    if (before !== undefined && !seals.has(before.key))
      throw foreign(storage, before.key, `this master has the key ${seals.id}`)
    const value = { key: seals.id, rewrittenWith: null }
    try {
      await (before === undefined ? storage.create(REGISTER, value) : storage.update(REGISTER, value, before.etag))
    } catch (error) {
      if (!isFailure(error, 'already-exists', 'changed')) throw error
    }
  }
}

async function read(storage: Storage) {
  const stored = await storage.get(REGISTER)
  return stored && { ...RegisterSchema.parse(stored.value), etag: stored.etag }
}

function keysIn(file: string, text: string): readonly Buffer[] {
  try {
    return sealKeys(text)
  } catch (cause) {
    throw new ShadowError('bad-input', `${file}: ${(cause as Error).message}`, { cause })
  }
}

const foreign = (storage: Storage, key: string, why: string): ShadowError =>
  new ShadowError('secret-unreadable', `the secrets in ${storage.name} are encrypted with the key ${key}; ${why}`, {
    hint: "give this master the keys of the others: SHADOW_SECRETS_KEY, or a copy of the file secrets-key in another one's data folder",
  })

function unlessChanged(error: unknown): void {
  if (!isFailure(error, 'changed')) throw error
}
