import type { Hold } from '../api/hold-list.ts'
import { type Clock, wallAt } from '../lib/clock.ts'
import type { FormerView, HoldView, InstanceView, StopReason } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { AppName, NodeName } from '../model/names.ts'
import type { Crashes } from './crashes.ts'
import { type Holds, type InstanceTarget, isIgnored } from './holds.ts'
import type { Lifecycle } from './lifecycle.ts'
import { isReady, type State } from './state.ts'
import type { FormerRun } from './switch/former-run.ts'
import type { WakeRate } from './wake-rate.ts'

type Facts = {
  readonly app: AppName
  readonly instance: InstanceId
  readonly node: NodeName
  readonly revision: number
  readonly holds: Holds
  readonly crashes: Crashes
  readonly wokenBy: string | null
  readonly stoppedBy: StopReason | null
  readonly lastWake: InstanceView['lastWake']
  readonly badAnswer: InstanceView['badAnswer']
  readonly badConnection?: InstanceView['badConnection']
  readonly wakeRate: WakeRate
  readonly notWoken: InstanceView['notWoken']
  readonly cut?: number | undefined
  readonly rejected: InstanceView['rejected']
  readonly memoryKill: InstanceView['memoryKill']
  readonly kept: Lifecycle['kept']
  readonly atWork: Lifecycle['atWork']
  readonly drySleeps?: InstanceView['drySleeps']
}

// A busy app has thousands; those suffice to see what keeps it awake.
const MOST_HOLDS = 100

/** The view of an instance. */
export function viewOf(
  state: State,
  { holds, crashes, wakeRate, kept, atWork, ...facts }: Facts,
  clock: Clock,
): InstanceView {
  const now = clock.now()
  const iso = (at: number): string => new Date(wallAt(clock, at)).toISOString()
  const { running, idle } = isReady(state) ? state : { running: undefined, idle: undefined }
  const sleepsAt = idle?.sleepsAt
  const freezesAt = idle?.beforeAt
  return {
    ...facts,
    phase: state.phase,
    since: iso(state.since),
    revision: running?.task.revision ?? facts.revision,
    waiting: holds.waiting,
    holds: holds.all.flatMap(hold => listed(hold, iso)).slice(0, MOST_HOLDS),
    sleepsAt: sleepsAt === undefined ? null : iso(sleepsAt),
    ...(freezesAt !== undefined && { freezesAt: iso(freezesAt) }),
    // Of a wake under way: how far it is.
    lastWake: state.phase === 'waking' ? { ms: now - state.since, steps: { ...state.wake.steps } } : facts.lastWake,
    held: state.phase === 'stuck' ? state.undo.held : [],
    problem: 'problem' in state && state.problem !== null ? state.problem.toProblem() : null,
    refusedWakes: wakeRate.refused && { at: iso(wakeRate.refused.at), count: wakeRate.refused.count },
    failures: crashes.count,
    retryAt: crashes.retryAt > now ? iso(crashes.retryAt) : null,
    ...(atWork !== undefined && { atWork: { why: atWork.why, checkedAt: iso(atWork.at) } }),
    ...(kept !== undefined && kept.until > now && { kept: { until: iso(kept.until), why: kept.why } }),
    container: running === undefined ? null : { id: running.container.id, address: running.address },
  }
}

/** The view of an earlier release that still runs. */
export function formerView(
  { revision, running, holds, since, drainsUntil, endsAt }: FormerRun,
  clock: Clock,
): FormerView {
  const iso = (at: number): string => new Date(wallAt(clock, at)).toISOString()
  return {
    revision,
    since: iso(since),
    container: { id: running.container.id, address: running.address },
    holds: holds.holding,
    ...(drainsUntil !== undefined && { until: iso(drainsUntil) }),
    ...(endsAt !== undefined && { endsAt: iso(endsAt) }),
  }
}

function listed(hold: Hold<InstanceTarget>, iso: (at: number) => string): readonly HoldView[] {
  const { kind, what, until, grant } = hold.request
  const own = { kind, what, since: iso(hold.since), ...(until !== undefined && { until }) }
  const views = grant === undefined ? [own] : grant.holds
  return isIgnored(hold) ? views.map(view => ({ ...view, isIgnored: true })) : views
}
