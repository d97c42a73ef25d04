import type { Clock } from '../../clock.ts'
import type { ConnectionLimiter } from '../guard/connection-limits.ts'
import type { ServerContext } from './server-context.ts'

export const SWEEP_MS = 500

/** Starts the sweep: one timer checks all connections twice a second, instead of timers for each connection. */
export function startSweep(context: ServerContext, limiter: ConnectionLimiter, clock: Clock): Disposable {
  const sweep = (): void => {
    for (const client of context.http1Connections) client.sweep()
    for (const session of context.http2Connections) session.sweep()
    context.pool.sweep()
    limiter.sweep()
    alarm = clock.after(SWEEP_MS, sweep)
  }
  let alarm = clock.after(SWEEP_MS, sweep)
  return { [Symbol.dispose]: () => alarm[Symbol.dispose]() }
}
