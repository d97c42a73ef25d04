import { isFailure } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { App } from '../model/app.ts'
import type { AppName } from '../model/names.ts'
import type { AppRecord, Records } from './records.ts'
import type { Storage } from './storage/storage.ts'

export type Kept = ReturnType<typeof keptApps>

/**
 * Finds the apps that fronts have to know before any request comes, without reading all apps: `kept/<app>.json` says that the app has, or once
 * had, a `min` above 0 or TCP ports. The app's own document decides. An entry is written before that document, and is never removed: a removal that came late could remove
 * the entry of a newer one, since no store removes a document on a condition.
 */
export function keptApps({ storage, records }: { storage: Storage; records: Records }) {
  const keyOf = (app: AppName): string => `kept/${app}.json`
  return {
    /** Makes the entry, if the app as it will be written needs one. */
    async note(app: Facts & Pick<App, 'name'>): Promise<void> {
      if (!isWanted(app)) return
      const { name } = app
      await storage.create(keyOf(name), { app: name }).catch(error => {
        if (!isFailure(error, 'already-exists')) throw error
      })
    },

    async list(): Promise<readonly Extract<AppRecord, { state: 'live' }>[]> {
      const keys = await storage.list('kept/')
      const names = keys.map(key => key.slice('kept/'.length, -'.json'.length) as AppName)
      const found = await mapAtMost(32, names, name => records.read(name))
      return found.flatMap(record => (record.state === 'live' && isWanted(record.app) ? record : []))
    },
  }
}

type Facts = Pick<App, 'scale' | 'tcp'>
const isWanted = ({ scale, tcp }: Facts): boolean => (scale?.min ?? 0) > 0 || tcp !== undefined
