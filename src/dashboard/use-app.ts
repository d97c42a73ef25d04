import { useEffect, useState } from 'preact/hooks'
import type { App } from '../model/app.ts'
import type { AppRow } from '../model/overview.ts'
import { type ApiError, call } from './api.ts'
import { followLive } from './live.ts'
import { useCall } from './use-call.ts'

export type AppFacts = {
  readonly app: App | undefined
  /** The state of the app as the list shows it; it changes as the app does. */
  readonly row: AppRow | undefined
  readonly error: ApiError | undefined
  readonly reload: () => void
}

/** An app and its state, kept up to date. Values of its environment are not read, only their digests. */
export function useApp(name: string): AppFacts {
  const loaded = useCall(signal => call('getApp', { params: { app: name }, query: { env: 'digests' }, signal }), [name])
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
          if (before?.revision !== row.revision) reload()
          return row
        })
      },
      onReconnect: reload,
    })
  }, [name, reload])
  const row = live ?? listed.value?.items.find(({ app }) => app === name)
  return { app: loaded.value, row, error: loaded.error, reload }
}
