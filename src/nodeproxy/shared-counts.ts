import type { Clock } from '../lib/clock.ts'
import type { SocketBudgetOptions } from '../lib/http/guard/socket-budget.ts'
import type { SocketLimits } from '../lib/open-files.ts'
import { Gauges } from '../lib/shared/gauges.ts'
import { NodeBounds } from './bounds.ts'

/** What all threads of a node count together: the sockets of its process, and the requests of each app. */
export type NodeUse = SocketLimits & { readonly memory: SharedArrayBuffer }

/** The counts for one thread; the one that has the instances is number 0, its workers follow. */
export function sharedCountsOf({ memory, sockets }: NodeUse, thread: number, clock: Clock) {
  const gauges = new Gauges(memory, thread)
  const limits: SocketBudgetOptions = { most: sockets, gauge: gauges.of('') }
  return { sockets: limits, bounds: new NodeBounds({ clock, gauges, sockets }) }
}
