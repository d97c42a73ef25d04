import type { MasterClient } from '../api/client.ts'
import { ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { updateApp } from './change-app.ts'
import { orNearApps } from './near-apps.ts'
import { DIGESTS } from './printable.ts'
import { waitForRevision } from './wait-for-revision.ts'

/** Lets the app use more apps, after those that it uses already; waits until an app that is awake runs that release. */
export const addUses = (master: MasterClient, name: string, companions: readonly string[]): Promise<App> =>
  change(master, name, uses => [...new Set([...uses, ...companions])])

/** Lets the app use fewer apps. Fails with `not-found` for one that it does not use. */
export const removeUses = (master: MasterClient, name: string, companions: readonly string[]): Promise<App> =>
  change(master, name, uses => {
    const unknown = companions.filter(companion => !uses.includes(companion))
    if (unknown.length > 0)
      throw new ShadowError('not-found', `${name} does not use ${unknown.join(', ')}`, {
        hint: uses.length === 0 ? `it uses no other app` : `it uses ${uses.join(', ')}`,
      })
    return uses.filter(companion => !companions.includes(companion))
  })

async function change(
  master: MasterClient,
  name: string,
  next: (uses: readonly string[]) => readonly string[],
): Promise<App> {
  const app = await orNearApps(master, name, () =>
    updateApp(master, name, ({ task }) => ({ uses: next(task.uses ?? []) }), DIGESTS),
  )
  await waitForRevision(master, app)
  return app
}
