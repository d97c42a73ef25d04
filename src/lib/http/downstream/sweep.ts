import type { Clock } from '../../clock.ts'
import type { Gate } from '../guard/connection-limits.ts'
import type { Parts } from './server-context.ts'

export const LOOK_MS = 500

/** One timer for all connections, instead of one or more for each: looks at them twice a second. */
export function looks(parts: Parts, gate: Gate, clock: Clock): Disposable {
  const look = (): void => {
    for (const client of parts.clients) client.look()
    for (const session of parts.sessions) session.look()
    parts.pool.look()
    gate.look()
    alarm = clock.after(LOOK_MS, look)
  }
  let alarm = clock.after(LOOK_MS, look)
  return { [Symbol.dispose]: () => alarm[Symbol.dispose]() }
}
