import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import type { AppEvent } from '../../../../model/timeline.ts'
import { type ApiError, call } from '../../../api.ts'
import { followLive } from '../../../live.ts'
import { addOlder, mergeNewest } from './timeline-days.ts'

const PAGE = 50
/** Changes of an app come in bursts, and its node may tell of an event a little later than of the new state. */
const AFTER_CHANGE_MS = [150, 2_000] as const
/** Snapshots and the like do not change the state of an app. */
const AGAIN_MS = 30_000

type Pages = { readonly items: readonly AppEvent[]; readonly next: string | null; readonly silent: readonly string[] }

export type Timeline = {
  readonly pages: Pages | undefined
  readonly error: ApiError | undefined
  readonly isLoading: boolean
  readonly loadOlder: () => void
  readonly reload: () => void
}

/** What happened to an app, newest first. New events appear by themselves. `kinds`: with commas between them; undefined: all. */
export function useTimeline(app: string, kinds: string | undefined): Timeline {
  const [state, setState] = useState<{ pages?: Pages; error?: ApiError; isLoading: boolean }>({ isLoading: true })
  const gone = useRef(new AbortController())
  const latest = useRef(0)

  const read = useCallback(
    async (before: string | undefined, merge: (old: Pages | undefined, page: Pages) => Pages): Promise<void> => {
      const { signal } = gone.current
      const mine = before === undefined ? ++latest.current : undefined
      setState(old => ({ ...old, isLoading: before !== undefined || old.pages === undefined }))
      try {
        const query = {
          limit: PAGE,
          ...(kinds !== undefined && { kind: kinds }),
          ...(before !== undefined && { before }),
        }
        const page = await call('getTimeline', { params: { app }, query, signal })
        // An answer to an older question about the newest page has nothing new.
        if (signal.aborted || (mine !== undefined && mine !== latest.current)) return
        setState(old => ({ pages: merge(old.pages, page), isLoading: false }))
      } catch (error) {
        if (!signal.aborted) setState(old => ({ ...old, error: error as ApiError, isLoading: false }))
      }
    },
    [app, kinds],
  )
  const reload = useCallback(
    () =>
      void read(undefined, (old, page) =>
        old === undefined ? page : { ...mergeNewest(old, page), silent: page.silent },
      ),
    [read],
  )

  useEffect(() => {
    gone.current = new AbortController()
    setState({ isLoading: true })
    reload()
    let timers: ReturnType<typeof setTimeout>[] = []
    const soon = (): void => {
      for (const timer of timers) clearTimeout(timer)
      timers = AFTER_CHANGE_MS.map(ms => setTimeout(reload, ms))
    }
    const end = followLive({ onRows: rows => rows.some(row => row.app === app) && soon(), onReconnect: reload })
    const again = setInterval(() => document.visibilityState === 'visible' && reload(), AGAIN_MS)
    return () => {
      gone.current.abort()
      end()
      for (const timer of timers) clearTimeout(timer)
      clearInterval(again)
    }
  }, [reload, app])

  const next = state.pages?.next ?? null
  const loadOlder = useCallback((): void => {
    if (next !== null)
      void read(next, (old, page) => (old === undefined ? page : { ...addOlder(old, page), silent: page.silent }))
  }, [next, read])
  return { pages: state.pages, error: state.error, isLoading: state.isLoading, loadOlder, reload }
}
