import { monitorEventLoopDelay } from 'node:perf_hooks'

/** By how much the event loop of a thread was late, in seconds, since it was read before. */
export type Lag = { readonly p50: number; readonly p99: number; readonly max: number }

const NONE: Lag = { p50: 0, p99: 0, max: 0 }
const RESOLUTION_MS = 20

let delay: ReturnType<typeof monitorEventLoopDelay> | undefined

/** How late the timers of this thread were since the last call. The first call begins to measure: a daemon without metrics has no timer for it. */
export function readLag(): Lag {
  if (delay === undefined) {
    delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
    delay.enable()
    return NONE
  }
  const { count } = delay
  const lag = { p50: secondsOf(delay.percentile(50)), p99: secondsOf(delay.percentile(99)), max: secondsOf(delay.max) }
  delay.reset()
  return count === 0 ? NONE : lag
}

/** Node records the whole time between two of its timers. */
const secondsOf = (ns: number): number => Math.max(0, ns / 1e9 - RESOLUTION_MS / 1e3)

/** The worst of several threads. */
export function worst(lags: readonly Lag[]): Lag {
  return lags.reduce(
    (all, { p50, p99, max }) => ({
      p50: Math.max(all.p50, p50),
      p99: Math.max(all.p99, p99),
      max: Math.max(all.max, max),
    }),
    NONE,
  )
}
