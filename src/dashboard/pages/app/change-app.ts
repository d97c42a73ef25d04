import type { App } from '../../../model/app.ts'
import { ApiError, type CallName, send } from '../../api.ts'
import { type AppFacts, asRead, readApp } from '../../use-app.ts'

const TRIES = 3

type Change = {
  /** A call that answers the app. */
  readonly call: Extract<CallName, 'updateApp' | 'setAccess' | 'setScale' | 'setWakeRules' | 'setTcp'>
  /** The body of the call, by what the app is now. */
  readonly body: (now: App) => unknown
  readonly query?: Readonly<Record<string, unknown>>
  /** What the person saw of it: if somebody else changed nothing of that, the change is made all the same. */
  readonly seen: (app: App) => unknown
}

/**
 * Changes an app by If-Match. Fails with `changed` if somebody else has changed what the person saw; the page shows the app as it is then,
 * and what was typed stays.
 */
export async function changeApp({ app, etag, replace }: AppFacts, change: Change): Promise<void> {
  if (app === undefined || etag === undefined) return
  let [now, version] = [app, etag]
  for (let tries = 1; ; tries++) {
    try {
      const response = await send(change.call, {
        params: { app: app.name },
        query: { env: 'digests', ...change.query },
        body: change.body(now),
        headers: { 'if-match': version },
      })
      replace(await asRead(response))
      return
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'changed') throw error
      const read = await readApp(app.name)
      const isSame = JSON.stringify(change.seen(read.app)) === JSON.stringify(change.seen(app))
      if (!isSame || tries === TRIES) {
        replace(read)
        throw new ApiError(error.status, {
          code: 'changed',
          detail: 'somebody else changed this meanwhile; nothing was saved, and what you typed is still here',
          hint: 'compare it with what is stored now, and save again',
        })
      }
      now = read.app
      version = read.etag
    }
  }
}
