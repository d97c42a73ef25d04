import type { MasterClient } from '../api/client.ts'
import { isFailure } from '../lib/errors.ts'
import { json } from '../lib/http/api/call.ts'
import type { App } from '../model/app.ts'
import { DIGESTS } from './printable.ts'

/** Makes the call to change fail with `changed` if the app is another one by then than the one that was read. */
export type IfAsRead = { readonly 'if-match': string }

const TRIES = 5
/** Removing a missing variable or domain is an error: it is a typing mistake, or somebody else has already removed it. */
export const STRICT = { strict: 'true', ...DIGESTS } as const
// A node may have to pull the image first.
export const NO_DEADLINE = (): AbortSignal => new AbortController().signal

/**
 * Changes an app by what it is now, since a call that changes a list or a set of rules replaces all of it. `change` makes the call with the
 * headers that it gets; where somebody else changed the app in between, the app is read again and the change is made anew.
 */
export async function changeApp(
  master: MasterClient,
  name: string,
  change: (app: App, headers: IfAsRead) => App | Promise<App>,
): Promise<App> {
  for (let tries = 1; ; tries++) {
    const answer = await master.raw('getApp', { params: { app: name }, query: DIGESTS })
    try {
      return await change((await json(answer)) as App, { 'if-match': answer.headers.etag ?? '*' })
    } catch (error) {
      if (!isFailure(error, 'changed') || tries === TRIES) throw error
    }
  }
}

/** Changes fields of the definition of an app, as one update. */
export const updateApp = (
  master: MasterClient,
  name: string,
  patchOf: (app: App) => Record<string, unknown>,
  query: { readonly strict?: 'true'; readonly env: 'digests'; readonly note?: string | undefined } = STRICT,
): Promise<App> =>
  changeApp(master, name, (app, headers) =>
    master.call('updateApp', { params: { app: name }, body: patchOf(app), headers, query, signal: NO_DEADLINE() }),
  )
