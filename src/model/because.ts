import { type BudgetState, budgetNow } from './budget.ts'
import { isRunning } from './instance.ts'
import type { InstanceSummary } from './instance-summary.ts'
import { type Pause, sayPause } from './pause.ts'
import type { Duration } from './quantities.ts'
import { NEVER_SLEEPS, sayStopped } from './say-stopped.ts'
import { sayUse } from './say-use.ts'

type Facts = {
  readonly idleAfter: Duration | 'never'
  readonly budget?: BudgetState | undefined
  readonly paused?: Pause | undefined
}

/** Why an app is in its phase, in one sentence: the short form of what `shadow why` says. */
export function because(app: Facts, instance: InstanceSummary | undefined, now: number): string {
  const isAsleep = instance === undefined || instance.phase === 'asleep'
  if (app.paused !== undefined && isAsleep) return `It is ${sayPause(app.paused)}.`
  const budget = budgetNow(app.budget, now)
  if (budget?.state === 'spent' && isAsleep)
    return `Nothing wakes it before ${budget.until}, since ${budget.why} is spent.`
  if (instance === undefined) return 'Nobody has used it yet.'
  switch (instance.phase) {
    case 'awake':
      return awake(app, instance)
    case 'waking':
      return instance.waiting === 1 ? '1 request waits for it.' : `${instance.waiting} requests wait for it.`
    case 'frozen':
    case 'suspended':
      return stoppedWhereItIs(instance)
    case 'asleep':
      return instance.problem === null
        ? `${sayStopped(instance.stoppedBy, app.idleAfter)}${instance.parked === true ? ' A container waits for its next wake.' : ''}`
        : `Its last wake failed: ${instance.problem.detail}`
    case 'stopping':
      return sayStopped(instance.stoppedBy, app.idleAfter)
    case 'crashed':
      return instance.failures === 1 ? 'It failed once.' : `It failed ${instance.failures} times in a row.`
    case 'stuck':
      return `It still holds ${instance.held.join(', ')}.`
  }
}

function stoppedWhereItIs({ phase, frozenBy }: InstanceSummary): string {
  const why = frozenBy === 'memory' ? 'Nobody uses it, and its machine was short of memory' : 'Nobody uses it'
  const where = phase === 'suspended' ? 'its memory is in the swap' : 'it is stopped where it is'
  return `${why}: ${where}, and the next request lets it go on.`
}

function awake({ idleAfter }: Facts, { uses, use, atWork, kept, sleepsAt }: InstanceSummary): string {
  if (use !== null)
    return uses === 1
      ? `1 use keeps it awake: ${sayUse(use)}.`
      : `${uses} uses keep it awake, the oldest: ${sayUse(use)}.`
  if (atWork !== undefined) return `Nobody uses it, and it is at work: ${atWork}.`
  if (kept !== undefined) return `It is kept awake: ${kept}.`
  if (sleepsAt === null && idleAfter === 'never') return NEVER_SLEEPS
  return 'Nobody uses it.'
}

/** What woke the app, or why it was stopped; null if nothing has happened to it. */
export function lastCause({ idleAfter }: Facts, instance: InstanceSummary | undefined): string | null {
  if (instance === undefined) return null
  const { phase, wokenBy, stoppedBy } = instance
  if (isRunning(phase) || phase === 'waking') return wokenBy === null ? null : `It was woken by ${wokenBy}.`
  return stoppedBy === null ? null : sayStopped(stoppedBy, idleAfter)
}
