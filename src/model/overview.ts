import { PHASES, type Phase } from './instance.ts'
import type { AppName, NodeName } from './names.ts'

/** The phases of a row. `unknown`: the node that has the app does not answer. */
export const ROW_PHASES = [...PHASES, 'unknown'] as const
export type RowPhase = Phase | 'unknown'

/** What an app has used this month, and what it would have cost if it had never slept. Costs are null where masters have no prices. */
export type RowMonth = {
  readonly awakeSeconds: number
  readonly cost: number | null
  readonly alwaysOnCost: number | null
}

/** One app in a list of apps. Times are ISO 8601. */
export type AppRow = {
  readonly app: AppName
  /** Whose tokens are for the app; null: nobody's. */
  readonly owner: string | null
  readonly phase: RowPhase
  /** Nothing wakes it until it is resumed. */
  readonly isPaused: boolean
  /** It is asleep, and a container waits for its next wake. */
  readonly isParked: boolean
  /** null: it has not run since its node started. */
  readonly since: string | null
  /** The node of the instance that the row tells about; null: no node has one. */
  readonly node: NodeName | null
  readonly instances: number
  /** How many of them are awake. */
  readonly awake: number
  readonly url: string | null
  readonly sleepsAt: string | null
  /** Why it is in this phase, in a sentence. A time that is left is not in it: that is `sleepsAt`. */
  readonly because: string | null
  /** What woke it, or why it was stopped. */
  readonly lastCause: string | null
  readonly revision: number
  readonly volume: { readonly sizeBytes: number; readonly usedBytes: number | null } | null
  readonly problem: { readonly code: string; readonly detail: string } | null
  readonly month: RowMonth | null
}

/**
 * What a list of apps can be cut down to, besides phases: those of any phase that are paused, or have a problem, those that are parked, and the sessions of templates,
 * which are left out otherwise, since there may be thousands.
 */
export const ROW_FLAGS = ['paused', 'parked', 'problem', 'session'] as const
export type RowFlag = (typeof ROW_FLAGS)[number]

/** How many apps there are, in each phase and with each flag. */
export type RowCounts = Readonly<Record<RowPhase | RowFlag | 'all', number>>

export const ROW_SORTS = ['name', 'phase', 'since', 'node', 'cost', 'awake', 'volume', 'owner'] as const
export type RowSort = (typeof ROW_SORTS)[number]

export const MOST_ROWS = 200
