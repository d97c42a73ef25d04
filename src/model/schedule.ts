import { sayCommand } from './exec.ts'
import type { Duration } from './quantities.ts'

/**
 * What happens at the times of a schedule. `wake`: the app is woken `ahead` of each time, and kept awake until `for` after it. `request`: a GET
 * for the path is sent to the app. `command`: it is run in the container of the app.
 */
export type ScheduleAction =
  | { readonly kind: 'wake'; readonly for: Duration; readonly ahead?: Duration | undefined }
  | { readonly kind: 'request'; readonly path: string }
  | { readonly kind: 'command'; readonly command: readonly string[] }

export const RUN_OUTCOMES = ['running', 'done', 'failed', 'lost', 'missed', 'skipped'] as const

/** One run of a schedule. `lost`: the master that had it ended before it did. `missed`: no master ran at that time, or for long after. `skipped`: the app was paused. */
export type ScheduleRun = {
  /** The time that it is for. */
  readonly tick: string
  readonly startedAt: string
  readonly endedAt: string | null
  readonly outcome: (typeof RUN_OUTCOMES)[number]
  /** The status of the app's answer. */
  readonly status?: number | undefined
  /** The exit code of the command. */
  readonly exitCode?: number | undefined
  /** Why it failed. */
  readonly detail?: string | undefined
  /** The beginning of the answer, or the end of the command's output. */
  readonly lastLines?: string | undefined
  /** Somebody asked for it (`shadow schedule run`), and its time is not one of the schedule's. */
  readonly byHand?: true | undefined
  /** So many earlier times were missed, for which nothing is run any more. */
  readonly missed?: number | undefined
}

export type Schedule = {
  readonly id: string
  readonly cron: string
  readonly zone: string
  readonly action: ScheduleAction
  /** How long a run may take. */
  readonly within: Duration
  readonly createdAt: string
  /** The last time for which a master has taken the run. */
  readonly lastTick: string | null
  /** The newest first. */
  readonly runs: readonly ScheduleRun[]
}

export const MOST_SCHEDULES = 20
export const MOST_RUNS = 10
export const SCHEDULE_DEFAULTS = { zone: 'UTC', within: '10m', for: '1m' } as const
/** A run that is later than this is not made up for. */
export const MADE_UP_FOR_MS = 3_600_000
export const LONGEST_RUN_MS = 3_600_000
export const LONGEST_KEPT_MS = 86_400_000

/** The action in words. */
export function sayAction(action: ScheduleAction): string {
  if (action.kind === 'request') return `GET ${action.path}`
  if (action.kind === 'command') return `run ${sayCommand(action.command)}`
  return `wake for ${action.for}${action.ahead === undefined ? '' : `, ${action.ahead} ahead`}`
}
