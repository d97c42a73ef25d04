import { because, lastCause } from '../../model/because.ts'
import type { InstanceSummary } from '../../model/instance-summary.ts'
import type { NodeName } from '../../model/names.ts'
import type { AppRow, RowMonth, RowPhase } from '../../model/overview.ts'
import type { AppFacts } from './app-facts.ts'

export type RowParts = {
  readonly facts: AppFacts
  readonly instances: readonly InstanceSummary[]
  readonly silent: ReadonlySet<NodeName>
  readonly owner: string | null
  readonly month: RowMonth | null
  /** The URL of the fronts, if it is known. */
  readonly front: string | undefined
  /** The wall clock, in milliseconds. */
  readonly now: number
}

/** Of several instances the row tells about the first one in this order. */
const FIRST: Readonly<Record<RowPhase, number>> = {
  awake: 0,
  waking: 1,
  frozen: 2,
  suspended: 3,
  stopping: 4,
  stuck: 5,
  crashed: 6,
  unknown: 7,
  asleep: 8,
}

export function rowOf({ facts, instances, silent, owner, month, front, now }: RowParts): AppRow {
  const phaseOf = ({ phase, node }: InstanceSummary): RowPhase => (silent.has(node) ? 'unknown' : phase)
  const order = (one: InstanceSummary): number => FIRST[phaseOf(one)]
  const [shown] = instances.length > 1 ? instances.toSorted((a, b) => order(a) - order(b)) : instances
  const phase = shown === undefined ? 'asleep' : phaseOf(shown)
  const isKnown = phase !== 'unknown'
  const problem = instances.find(one => one.problem !== null && !silent.has(one.node))?.problem ?? null
  const used = instances.find(one => one.volume !== undefined)?.volume
  return {
    app: facts.app,
    owner,
    phase,
    isPaused: facts.paused !== undefined,
    isParked: phase === 'asleep' && shown?.parked === true,
    since: shown?.since ?? null,
    node: shown?.node ?? null,
    instances: instances.length,
    awake: instances.filter(one => phaseOf(one) === 'awake').length,
    url: urlOf(facts, front),
    sleepsAt: isKnown ? (shown?.sleepsAt ?? null) : null,
    because: isKnown ? because(facts, shown, now) : `Its node ${shown?.node} does not answer.`,
    lastCause: lastCause(facts, shown),
    revision: facts.revision,
    volume:
      facts.volumeBytes === undefined
        ? null
        : { sizeBytes: used?.sizeBytes ?? facts.volumeBytes, usedBytes: used?.usedBytes ?? null },
    problem,
    month,
  }
}

function urlOf({ host }: AppFacts, front: string | undefined): string | null {
  if (host === undefined) return null
  if (front === undefined) return `${host.isSecure ? 'https' : 'http'}://${host.name}/`
  const url = new URL(front)
  url.hostname = host.name
  return url.href
}

/** Whether a page has to be told. What was used this month grows all the time, and is read again with the page. */
export function isSameRow({ month: _, ...a }: AppRow, { month: __, ...b }: AppRow): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
