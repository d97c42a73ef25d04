import { useEffect, useState } from 'preact/hooks'
import type { App } from '../model/app.ts'
import type { AppRow } from '../model/overview.ts'
import { type ApiError, call, send } from './api.ts'
import { followLive } from './live.ts'
import { useCall } from './use-call.ts'

/** An app, and the version of its document for If-Match. */
export type ReadApp = { readonly app: App; readonly etag: string }

export type AppFacts = {
  readonly app: App | undefined
  readonly etag: string | undefined
  /** The state of the app as the list shows it; it changes as the app does. */
  readonly row: AppRow | undefined
  readonly error: ApiError | undefined
  readonly reload: () => void
  /** Shows what a change has answered. */
  readonly replace: (read: ReadApp) => void
}

/** Reads an app. Values of its environment are not read, only their digests. */
export async function readApp(app: string, signal?: AbortSignal): Promise<ReadApp> {
  const input = { params: { app }, query: { env: 'digests' } }
  return asRead(await send('getApp', { ...input, ...(signal && { signal }) }))
}

/** The app that a call has answered. */
export const asRead = async (response: Response): Promise<ReadApp> => ({
  app: (await response.json()) as App,
  etag: response.headers.get('etag') ?? '*',
})

/** An app and its state, kept up to date. */
export function useApp(name: string): AppFacts {
  const loaded = useCall(signal => readApp(name, signal), [name])
  const listed = useCall(signal => call('getOverview', { query: { search: name, limit: 200 }, signal }), [name])
  const [live, setLive] = useState<AppRow>()
  const { reload } = loaded
  useEffect(() => {
    setLive(undefined)
    return followLive({
      onRows: rows => {
        const row = rows.find(({ app }) => app === name)
        if (row === undefined) return
        setLive(before => {
          if (before?.revision !== row.revision || before.isPaused !== row.isPaused) reload()
          return row
        })
      },
      onReconnect: reload,
    })
  }, [name, reload])
  const row = live ?? listed.value?.items.find(({ app }) => app === name)
  const { app, etag } = loaded.value ?? {}
  return { app, etag, row, error: loaded.error, reload, replace: loaded.replace }
}
