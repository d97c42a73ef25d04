import { z } from 'zod'
import { AppNameSchema, AppSchema, HostnameSchema } from '../api/schemas.ts'
import { StoredSessionSchema } from '../api/session-schemas.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Seals } from '../lib/seals.ts'
import type { App } from '../model/app.ts'
import type { Hostname } from '../model/hostname.ts'
import type { AppName } from '../model/names.ts'
import type { Session } from '../model/session.ts'
import { storedWithLater, withLater } from './later-fields.ts'
import { openTask, sealTask } from './sealed-task.ts'
import type { Storage } from './storage/storage.ts'

/** What is left of a removed app: the last revision, and the last version of its secrets. */
type Removed = {
  readonly revision: number
  readonly secretsVersion?: number | undefined
  readonly removedAt: string
  /** What it was as a session, and how that ended. */
  readonly session?: EndedSession | undefined
  /** The name is that of a key, whose session was taken from a pool and has a name of its own. It counts if that session has the key: decision 074. */
  readonly adopted?: AppName | undefined
}

export type EndedSession = Session & { readonly domains: readonly Hostname[] }

/**
 * The content of `apps/<app>.json`. The document of a removed app keeps the last revision. So no revision number of a name is ever used
 * twice,
 * and removing is a conditional write like any other (not every store supports a conditional DELETE).
 */
export type AppRecord =
  | { readonly state: 'live'; readonly app: App; readonly etag: string }
  | ({ readonly state: 'removed'; readonly etag: string } & Removed)
  | { readonly state: 'none' }

const RemovedSchema = z.object({
  name: AppNameSchema,
  revision: z.int(),
  secretsVersion: z.int().optional(),
  removedAt: z.iso.datetime(),
  session: StoredSessionSchema.and(z.object({ domains: z.array(HostnameSchema) })).optional(),
  adopted: AppNameSchema.optional(),
})

/**
 * The one document of an app: whether the app exists, and how it is run now. Other documents with its name count only if they agree with
 * this one.
 */
export type Records = ReturnType<typeof appRecords>

export function appRecords(storage: Storage, seals: Seals) {
  const keyOf = (name: AppName): string => `apps/${name}.json`

  const write = async (name: AppName, value: object, over: AppRecord): Promise<string> =>
    over.state === 'none' ? storage.create(keyOf(name), value) : storage.update(keyOf(name), value, over.etag)

  return {
    async read(name: AppName): Promise<AppRecord> {
      const stored = await storage.get(keyOf(name))
      if (stored === undefined) return { state: 'none' }
      const { value, etag } = stored
      const removed = RemovedSchema.safeParse(value)
      if (removed.success) {
        const { name: _, ...rest } = removed.data
        return { state: 'removed', ...rest, etag }
      }
      const found = opened(value, seals)
      const live = AppSchema.safeParse(found)
      if (!live.success)
        throw new ShadowError('internal', `the stored document ${keyOf(name)} is no app`, { cause: live.error })
      const app = withLater({ ...live.data, task: (found as App).task }, value as object, AppSchema)
      return { state: 'live', app, etag }
    },
    /** Writes the app over the record that was read; fails with `changed` or `already-exists` if that record is out of date. */
    write: (app: App, over: AppRecord): Promise<string> =>
      write(app.name, { ...storedWithLater(app), task: sealTask(app.task, seals) }, over),
    remove: (name: AppName, removed: Removed, over: AppRecord): Promise<string> =>
      write(name, { name, ...removed }, over),
    /** Lets the name of a key lead to a session of another name. Fails as `write` does. */
    adopt(name: AppName, session: AppName, at: string, over: Exclude<AppRecord, { state: 'live' }>): Promise<string> {
      if (over.state === 'none') return write(name, { name, revision: 0, removedAt: at, adopted: session }, over)
      const { state: _, etag: __, ...removed } = over
      return write(name, { name, ...removed, adopted: session }, over)
    },
    /** Names of apps in ascending order; some may belong to removed apps. */
    async names(after: AppName | undefined, limit: number): Promise<readonly AppName[]> {
      const keys = await storage.list('apps/', { after: after && keyOf(after), limit })
      return keys.map(key => key.slice('apps/'.length, -'.json'.length) as AppName)
    },
  }
}

/** The document with its task definition decrypted. A value that is not an app is left for the schema to refuse. */
function opened(value: unknown, seals: Seals): unknown {
  if (typeof value !== 'object' || value === null || !('task' in value)) return value
  return { ...value, task: openTask(value.task, seals) }
}
