import { z } from 'zod'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { Seals } from '../../lib/seals.ts'
import type { AppName } from '../../model/names.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'

/** The secrets of an app by their names; `since`: the release that gave it this value. */
export type Secrets = Readonly<Record<string, { readonly value: string; readonly since: number }>>
/** Changes of secrets; null takes one away. */
export type SecretChanges = Readonly<Record<string, string | null>>

/** All secrets that a release has, or changes that the next release takes. */
const KINDS = ['secrets', 'staged'] as const
const SealedSchema = z.object({ app: z.string(), version: z.int(), kind: z.enum(KINDS), sealed: z.string() })
type Sealed = z.output<typeof SealedSchema>
type Kind = (typeof KINDS)[number]

const SecretsSchema = z.record(z.string(), z.object({ value: z.string(), since: z.int() }))
const ChangesSchema = z.record(z.string(), z.string().nullable())

// The context includes the version: a document that somebody copies over another one cannot be decrypted there.
const contextOf = ({ app, version, kind }: Pick<Sealed, 'app' | 'version' | 'kind'>): string =>
  kind === 'secrets' ? `the secrets of ${app}, version ${version}` : `staged secrets of ${app}, version ${version}`

export type SecretDocuments = ReturnType<typeof secretDocuments>

/**
 * The secrets of apps, encrypted, each version in a document of its own: `secrets/<app>/<version>.json`. A version is written once. The app's
 * own document says which version counts. A version that no release refers to has no effect.
 */
export function secretDocuments(storage: Storage, seals: Seals) {
  const prefixOf = (app: AppName): string => `secrets/${app}/`
  const keyOf = (app: AppName, version: number): string => `${prefixOf(app)}${version}.json`

  const versions = async (app: AppName): Promise<readonly number[]> => {
    const keys = await storage.list(prefixOf(app))
    return keys.map(key => Number(key.slice(prefixOf(app).length, -'.json'.length)))
  }
  const latest = async (app: AppName): Promise<number> => Math.max(0, ...(await versions(app)))

  const create = (app: AppName, kind: Kind, content: object, above: number): Promise<number> =>
    retryOnConflict(async () => {
      const version = Math.max(above, await latest(app)) + 1
      const sealed = seals.seal(JSON.stringify(content), contextOf({ app, version, kind }))
      await storage.create(keyOf(app, version), { app, version, kind, sealed })
      return version
    })

  const read = async <T>(app: AppName, version: number, kind: Kind, schema: z.ZodType<T>): Promise<T> => {
    const stored = await storage.get(keyOf(app, version))
    const document = SealedSchema.safeParse(stored?.value)
    if (!document.success || document.data.kind !== kind || document.data.version !== version)
      throw new ShadowError('internal', `the stored document ${keyOf(app, version)} has no ${kind} of ${app}`)
    return schema.parse(JSON.parse(seals.open(document.data.sealed, contextOf({ app, version, kind }))))
  }

  /** Runs `write`. If it fails and it is certain that nothing refers to the new version, that version is removed again. */
  const storing = async <T>(app: AppName, make: () => Promise<number>, write: (version: number) => Promise<T>) => {
    const version = await make()
    try {
      return await write(version)
    } catch (error) {
      if (isFailure(error, 'changed', 'already-exists', 'domain-taken', 'bad-input'))
        await storage.remove(keyOf(app, version)).catch(() => undefined) // then it has no effect
      throw error
    }
  }

  return {
    latest,
    /** Stores all secrets as the next version, which is later than `above`, and runs `write` with it. See `storing`. */
    storing: <T>(app: AppName, secrets: Secrets, write: (version: number) => Promise<T>, above = 0): Promise<T> =>
      storing(app, () => create(app, 'secrets', secrets, above), write),
    /** Stores changes that the next release takes, and runs `write` with their version. See `storing`. */
    staging: <T>(app: AppName, changes: SecretChanges, write: (version: number) => Promise<T>): Promise<T> =>
      storing(app, () => create(app, 'staged', changes, 0), write),
    /** The secrets of a version; no version: there are none. Fails with `secret-unreadable`. */
    read: async (app: AppName, version: number | undefined): Promise<Secrets> =>
      version === undefined ? {} : read(app, version, 'secrets', SecretsSchema),
    readStaged: async (app: AppName, version: number | undefined): Promise<SecretChanges> =>
      version === undefined ? {} : read(app, version, 'staged', ChangesSchema),
    /**
     * Removes the versions that nobody refers to any more. A version later than all of these may belong to a release that is being made, and
     * stays.
     */
    async prune(app: AppName, inUse: ReadonlySet<number>): Promise<void> {
      const last = Math.max(0, ...inUse)
      const old = (await versions(app)).filter(version => version < last && !inUse.has(version))
      await mapAtMost(16, old, version => storage.remove(keyOf(app, version)))
    },
    /** Removes the secrets of a removed app. A later app of the same name has later versions. */
    async forget(app: AppName, upTo: number): Promise<void> {
      const old = (await versions(app)).filter(version => version <= upTo)
      await mapAtMost(16, old, version => storage.remove(keyOf(app, version)))
    },
  }
}

/** The document encrypted with the newest key; undefined if it is already, or is another kind of document. */
export function resealedSecrets(stored: object, seals: Seals): object | undefined {
  const document = SealedSchema.safeParse(stored)
  if (!document.success || seals.isCurrent(document.data.sealed)) return undefined
  const context = contextOf(document.data)
  return { ...document.data, sealed: seals.seal(seals.open(document.data.sealed, context), context) }
}
