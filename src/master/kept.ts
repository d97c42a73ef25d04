import { isFailure } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { App } from '../model/app.ts'
import type { AppName } from '../model/names.ts'
import type { AppRecord, Records } from './records.ts'
import type { Storage } from './storage/storage.ts'

export type Kept = ReturnType<typeof keptApps>

/**
 * Finds the apps that are started before any request comes, without reading all apps: `kept/<app>.json` says that the app has, or once
 * had, a `min` above 0, TCP ports, or a pool of warm sessions. The app's own document decides. An entry is written before that document, and is never removed: a removal that came late could remove
 * the entry of a newer one, since no store removes a document on a condition.
 */
export function keptApps({ storage, records }: { storage: Storage; records: Records }) {
  const keyOf = (app: AppName): string => `kept/${app}.json`
  return {
    /** Makes the entry, if the app as it will be written needs one. */
    async note(app: Facts & Pick<App, 'name'>): Promise<void> {
      if (!isForFronts(app) && !hasPool(app)) return
      const { name } = app
      await storage.create(keyOf(name), { app: name }).catch(error => {
        if (!isFailure(error, 'already-exists')) throw error
      })
    },

    /** Those that fronts have to know. */
    list: (): Promise<readonly Live[]> => those(isForFronts),

    /** The templates that keep sessions started ahead of time. */
    pools: (): Promise<readonly Live[]> => those(hasPool),
  }

  async function those(are: (app: App) => boolean): Promise<readonly Live[]> {
    const keys = await storage.list('kept/')
    const names = keys.map(key => key.slice('kept/'.length, -'.json'.length) as AppName)
    const found = await mapAtMost(32, names, name => records.read(name))
    return found.flatMap(record => (record.state === 'live' && are(record.app) ? record : []))
  }
}

type Live = Extract<AppRecord, { state: 'live' }>
type Facts = Partial<Pick<App, 'scale' | 'tcp' | 'template'>>
const isForFronts = ({ scale, tcp }: Facts): boolean => (scale?.min ?? 0) > 0 || tcp !== undefined
/** Whether sessions of the app are kept started ahead of time. */
export const hasPool = ({ template }: Facts): boolean => (template?.warm ?? 0) > 0
