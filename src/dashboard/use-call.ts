import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import type { ApiError } from './api.ts'

export type Loaded<T> = {
  readonly value: T | undefined
  readonly error: ApiError | undefined
  readonly isLoading: boolean
  /** Reads it again; what was read before stays until then. */
  readonly reload: () => void
  /** Replaces what was read, such as by the answer of a change. */
  readonly replace: (value: T) => void
}

/**
 * What a call answers, read when the component appears and whenever `inputs` change. An answer that comes after a newer question is
 * dropped. `everyMs`: read again that often while the page is visible.
 */
export function useCall<T>(
  read: (signal: AbortSignal) => Promise<T>,
  inputs: readonly unknown[],
  { everyMs }: { everyMs?: number } = {},
): Loaded<T> {
  const [state, setState] = useState<{ value: T | undefined; error: ApiError | undefined; isLoading: boolean }>({
    value: undefined,
    error: undefined,
    isLoading: true,
  })
  const [round, setRound] = useState(0)
  const latest = useRef(read)
  latest.current = read
  useEffect(() => {
    const gone = new AbortController()
    setState(before => ({ ...before, isLoading: true }))
    latest.current(gone.signal).then(
      value => !gone.signal.aborted && setState({ value, error: undefined, isLoading: false }),
      (error: ApiError) => !gone.signal.aborted && setState(({ value }) => ({ value, error, isLoading: false })),
    )
    return () => gone.abort()
  }, [...inputs, round])
  const reload = useCallback(() => setRound(count => count + 1), [])
  useEffect(() => {
    if (everyMs === undefined) return
    const timer = setInterval(() => document.visibilityState === 'visible' && reload(), everyMs)
    return () => clearInterval(timer)
  }, [everyMs, reload])
  const replace = useCallback((value: T) => setState({ value, error: undefined, isLoading: false }), [])
  return { ...state, reload, replace }
}
