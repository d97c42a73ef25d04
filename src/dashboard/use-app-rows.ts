import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import type { CallAnswer } from '../api/call-shape.ts'
import type { masterCalls } from '../api/master-calls.ts'
import type { AppRow } from '../model/overview.ts'
import { type ApiError, call } from './api.ts'
import { followLive } from './live.ts'

const PAGE = 100
/** The order of rows may have changed with their values; it is read again at most this often. */
const ORDER_AGAIN_MS = 5_000

export type RowsQuery = {
  readonly search: string
  readonly phase: string
  readonly owner: string
  readonly node: string
  readonly sort: string
  readonly order: string
}

type Facts = Readonly<Omit<CallAnswer<(typeof masterCalls)['getOverview']>, 'items' | 'silent'>> & {
  readonly silent: readonly string[]
}

export type AppRows = {
  readonly facts: Facts | undefined
  readonly error: ApiError | undefined
  /** The row at an index; undefined: not read yet. */
  readonly at: (index: number) => AppRow | undefined
  /** Reads the pages of these rows that are not there. */
  readonly show: (first: number, last: number) => void
  readonly reload: () => void
}

/** The rows of the list of apps: pages are read as they come into view, and rows change as their apps do. */
export function useAppRows(query: RowsQuery): AppRows {
  const pages = useRef(new Map<number, readonly AppRow[]>())
  const asked = useRef(new Map<number, AbortController>())
  const range = useRef<readonly [number, number]>([0, PAGE])
  const [facts, setFacts] = useState<Facts>()
  const [error, setError] = useState<ApiError>()
  const [, redraw] = useState(0)
  const key = JSON.stringify(query)

  const read = useCallback(
    async (page: number): Promise<void> => {
      const gone = new AbortController()
      asked.current.get(page)?.abort()
      asked.current.set(page, gone)
      try {
        const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ''))
        const { items, ...rest } = await call('getOverview', {
          query: { ...given, offset: page * PAGE, limit: PAGE },
          signal: gone.signal,
        })
        pages.current.set(page, items)
        setFacts(rest)
        setError(undefined)
        redraw(count => count + 1)
      } catch (failure) {
        if (!gone.signal.aborted) setError(failure as ApiError)
      } finally {
        if (asked.current.get(page) === gone) asked.current.delete(page)
      }
    },
    [key],
  )

  const show = useCallback(
    (first: number, last: number): void => {
      range.current = [first, last]
      for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(first, last - 1) / PAGE); page++)
        if (!pages.current.has(page) && !asked.current.has(page)) void read(page)
    },
    [read],
  )

  const reload = useCallback((): void => {
    const [first, last] = range.current
    const inView = (page: number): boolean => page * PAGE < last && (page + 1) * PAGE > first
    for (const page of [...pages.current.keys()]) {
      if (inView(page)) void read(page)
      else pages.current.delete(page)
    }
  }, [read])

  useEffect(() => {
    for (const gone of asked.current.values()) gone.abort()
    asked.current.clear()
    void read(0).then(() => {
      for (const page of [...pages.current.keys()]) if (page > 0) pages.current.delete(page)
      redraw(count => count + 1)
    })
  }, [read])

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const later = (): void => {
      timer ??= setTimeout(() => {
        timer = undefined
        reload()
      }, ORDER_AGAIN_MS)
    }
    const end = followLive({
      onReconnect: reload,
      onCounts: change => setFacts(before => before && { ...before, ...change }),
      onRemoved: later,
      onRows: rows => {
        const byApp = new Map(rows.map(row => [row.app, row]))
        let isShown = false
        for (const [page, items] of pages.current) {
          if (!items.some(({ app }) => byApp.has(app))) continue
          pages.current.set(
            page,
            items.map(item => byApp.get(item.app) ?? item),
          )
          isShown = true
        }
        if (isShown) redraw(count => count + 1)
        // A row that is not shown may belong here now, and one that is shown to another place.
        later()
      },
    })
    return () => {
      end()
      clearTimeout(timer)
    }
  }, [reload])

  const at = (index: number): AppRow | undefined => pages.current.get(Math.floor(index / PAGE))?.[index % PAGE]
  return { facts, error, at, show, reload }
}
