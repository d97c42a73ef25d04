import { z } from 'zod'
import { AppNameSchema, AppSchema } from '../api/schemas.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Seals } from '../lib/seals.ts'
import type { App } from '../model/app.ts'
import type { AppName } from '../model/names.ts'
import { openTask, sealTask } from './sealed-task.ts'
import type { Storage } from './storage/storage.ts'

/**
 * What `apps/<app>.json` says. A removed app leaves its last revision, so that no revision of a name is ever given twice and
 * removing is a conditional write like any other (a DELETE heeds no condition everywhere).
 */
export type AppRecord =
  | { readonly state: 'live'; readonly app: App; readonly etag: string }
  | { readonly state: 'removed'; readonly revision: number; readonly removedAt: string; readonly etag: string }
  | { readonly state: 'none' }

const RemovedSchema = z.object({ name: AppNameSchema, revision: z.int(), removedAt: z.iso.datetime() })

/** The one document of an app: whether it exists, and how it is run now. All else that bears its name counts only as far as this agrees. */
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
        const { revision, removedAt } = removed.data
        return { state: 'removed', revision, removedAt, etag }
      }
      const live = AppSchema.safeParse(opened(value, seals))
      if (!live.success)
        throw new ShadowError('internal', `the stored document ${keyOf(name)} is no app`, { cause: live.error })
      return { state: 'live', app: live.data, etag }
    },
    /** Writes the app over what was read; fails with `changed` or `already-exists` when that is no longer so. */
    write: (app: App, over: AppRecord): Promise<string> =>
      write(app.name, { ...app, task: sealTask(app.task, seals) }, over),
    remove: (app: App, over: AppRecord, removedAt: string): Promise<string> =>
      write(app.name, { name: app.name, revision: app.task.revision, removedAt }, over),
    /** Names that may be of apps, ascending; removed ones are among them. */
    async names(after: AppName | undefined, limit: number): Promise<readonly AppName[]> {
      const keys = await storage.list('apps/', { after: after && keyOf(after), limit })
      return keys.map(key => key.slice('apps/'.length, -'.json'.length) as AppName)
    },
  }
}

/** The document with its task definition decrypted; what is no app is left for the schema to tell. */
function opened(value: unknown, seals: Seals): unknown {
  if (typeof value !== 'object' || value === null || !('task' in value)) return value
  return { ...value, task: openTask(value.task, seals) }
}
