import type { AppEvent } from '../../../../model/timeline.ts'

export type State = 'awake' | 'asleep'

/** The states of an app after each of its events: of one instance, newest first, with all wakes, sleeps and crashes among them. */
export type States = {
  /** By index; undefined: the events do not tell. */
  readonly after: readonly (State | undefined)[]
  /** How long it was awake after a wake, or asleep after a sleep, in ms, by the ids of those events. The newest of them has no end yet. */
  readonly lastedMs: ReadonlyMap<string, number>
}

export function statesOf(events: readonly AppEvent[]): States {
  const after: (State | undefined)[] = []
  const lastedMs = new Map<string, number>()
  let state: State | undefined
  let begin: AppEvent | undefined
  let revision: number | undefined
  for (const event of events.toReversed()) {
    const next = stateBy(event, revision)
    if (next !== undefined) {
      if (begin !== undefined) lastedMs.set(begin.id, Math.max(0, Date.parse(event.at) - Date.parse(begin.at)))
      begin = event.outcome === 'failed' ? undefined : event
      state = next
      if (event.kind === 'wake') revision = event.revision
    }
    after.push(state)
  }
  return { after: after.reverse(), lastedMs }
}

/** The state that an event brings about; `revision`: which one runs. */
function stateBy({ kind, outcome, revision: of }: AppEvent, revision: number | undefined): State | undefined {
  if (kind === 'wake') return outcome === 'failed' ? 'asleep' : 'awake'
  // An earlier release that served its last visitors has crashed, and the newer one is awake still.
  const isOfEarlier = of !== undefined && revision !== undefined && of < revision
  if (kind === 'crash') return isOfEarlier ? undefined : 'asleep'
  return kind === 'sleep' ? 'asleep' : undefined
}
