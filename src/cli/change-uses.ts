import type { MasterClient } from '../api/client.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { json } from '../lib/http/api/call.ts'
import type { App } from '../model/app.ts'
import { orNearApps } from './near-apps.ts'
import { DIGESTS } from './printable.ts'
import { waitForRevision } from './wait-for-revision.ts'

const TRIES = 5
// A node may have to pull the image first.
const NO_DEADLINE = (): AbortSignal => new AbortController().signal

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

// The patch replaces the list. If-Match makes it fail if somebody changed the app in between; then it is tried again.
async function change(
  master: MasterClient,
  name: string,
  next: (uses: readonly string[]) => readonly string[],
): Promise<App> {
  const app = await orNearApps(master, name, async () => {
    for (let tries = 1; ; tries++) {
      const answer = await master.raw('getApp', { params: { app: name }, query: DIGESTS })
      const { task } = (await json(answer)) as App
      const body = { uses: next(task.uses ?? []) }
      try {
        const headers = { 'if-match': answer.headers.etag ?? '*' }
        return await master.call('updateApp', {
          params: { app: name },
          body,
          headers,
          query: DIGESTS,
          signal: NO_DEADLINE(),
        })
      } catch (error) {
        if (!isFailure(error, 'changed') || tries === TRIES) throw error
      }
    }
  })
  await waitForRevision(master, app)
  return app
}
