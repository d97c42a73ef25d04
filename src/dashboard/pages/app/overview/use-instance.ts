import { useEffect } from 'preact/hooks'
import type { AppRow } from '../../../../model/overview.ts'
import { call } from '../../../api.ts'
import { useCall } from '../../../use-call.ts'

/** What holds an app awake changes without a change of its row. */
const AGAIN_MS = 5_000

/** The instance of an app as its node tells it; read again whenever the state of the app changes. Reading wakes nothing. */
export function useInstance(app: string, row: AppRow | undefined) {
  const isActive = row?.phase === 'awake' || row?.phase === 'waking' || row?.phase === 'stopping'
  const loaded = useCall(
    signal => call('getInstance', { params: { app }, signal }),
    [app],
    isActive ? { everyMs: AGAIN_MS } : {},
  )
  const { reload } = loaded
  const state = JSON.stringify(row && [row.phase, row.since, row.because, row.revision])
  useEffect(() => {
    if (row !== undefined) reload()
  }, [state, reload])
  return loaded
}

/** The newest wake of an app, with its steps. */
export function useLastWake(app: string, row: AppRow | undefined) {
  const loaded = useCall(
    signal => call('getTimeline', { params: { app }, query: { kind: 'wake', limit: 1 }, signal }),
    [app],
  )
  const { reload } = loaded
  useEffect(() => {
    if (row?.phase === 'awake' || row?.phase === 'crashed') reload()
  }, [row?.phase, row?.since, reload])
  return loaded.value?.items[0]
}
