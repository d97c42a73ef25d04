import type { Hold } from '../api/hold-list.ts'
import { type Clock, wallAt } from '../lib/clock.ts'
import type { HoldView, InstanceView, StopReason } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { AppName, NodeName } from '../model/names.ts'
import type { Crashes } from './crashes.ts'
import { type Holds, type InstanceTarget, isIgnored } from './holds.ts'
import type { State } from './state.ts'
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
  readonly wakeRate: WakeRate
  readonly cut?: number | undefined
  readonly rejected: InstanceView['rejected']
  readonly memoryKill: InstanceView['memoryKill']
}

// A busy app has thousands; those suffice to see what keeps it awake.
const MOST_HOLDS = 100

/** The view of an instance. */
export function viewOf(state: State, { holds, crashes, wakeRate, ...facts }: Facts, clock: Clock): InstanceView {
  const now = clock.now()
  const iso = (at: number): string => new Date(wallAt(clock, at)).toISOString()
  const running = state.phase === 'awake' ? state.running : undefined
  const sleepsAt = state.phase === 'awake' ? state.idle.ringsAt : undefined
  return {
    ...facts,
    phase: state.phase,
    since: iso(state.since),
    revision: running?.task.revision ?? facts.revision,
    waiting: holds.waiting,
    holds: holds.all.flatMap(hold => listed(hold, iso)).slice(0, MOST_HOLDS),
    sleepsAt: sleepsAt === undefined ? null : iso(sleepsAt),
    // Of a wake under way: how far it is.
    lastWake: state.phase === 'waking' ? { ms: now - state.since, steps: { ...state.wake.steps } } : facts.lastWake,
    held: state.phase === 'stuck' ? state.undo.held : [],
    problem: 'problem' in state && state.problem !== null ? state.problem.toProblem() : null,
    refusedWakes: wakeRate.refused && { at: iso(wakeRate.refused.at), count: wakeRate.refused.count },
    failures: crashes.count,
    retryAt: crashes.retryAt > now ? iso(crashes.retryAt) : null,
    container: running === undefined ? null : { id: running.container.id, address: running.address },
  }
}

function listed(hold: Hold<InstanceTarget>, iso: (at: number) => string): readonly HoldView[] {
  const { kind, what, grant } = hold.request
  const views = grant === undefined ? [{ kind, what, since: iso(hold.since) }] : grant.holds
  return isIgnored(hold) ? views.map(view => ({ ...view, isIgnored: true })) : views
}
