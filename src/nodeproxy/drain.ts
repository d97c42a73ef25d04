import type { StopReason } from '../model/instance.ts'
import { toMs } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'

/** How long requests in flight may go on, in milliseconds: when an app is stopped by hand or with its node, and when it changes. */
export type Drain = { readonly stopMs: number; readonly updateMs: number }

/** The default of the settings. */
const USUAL_DRAIN: Drain = { stopMs: 10_000, updateMs: 30_000 }

/** The drain of an app: its own setting, else the node's. */
export function drainOf({ sleep }: TaskDefinition, usual: Drain = USUAL_DRAIN): Drain {
  if (sleep.drain === undefined) return usual
  const ms = toMs(sleep.drain)
  return { stopMs: ms, updateMs: ms }
}

/** Reasons that stop an app though it is in use. */
const STOPS_IN_USE: readonly StopReason[] = [
  'asked',
  'restored',
  'removed',
  'shutdown',
  'drain-deadline',
  'budget',
  'paused',
]

/** How long a stop for this reason waits, in milliseconds: 0 where nothing uses the app or it cannot serve any more. */
export function drainMs(why: StopReason, { stopMs, updateMs }: Drain): number {
  if (why === 'updated') return updateMs
  return STOPS_IN_USE.includes(why) ? stopMs : 0
}
