import type { Counted } from '../http/counters.ts'
import type { Crew } from './crew.ts'
import type { Line } from './line.ts'

type CountMethods = { counted(input: null): Counted }

/** A thread that is too busy to tell is shown as it was last. */
const TELL_WITHIN_MS = 500

/** Has the main thread hear what this one counts. */
export function tellCounted(line: Line, counted: () => Counted): void {
  line.serve<CountMethods>({ counted })
}

/** What the threads of a crew have counted, also those that have died, as they told last: a sum must not go down. */
export function countsOf(crew: Crew): () => Promise<readonly Counted[]> {
  const last = new Map<Line, Counted>()
  return async () => {
    const there = new Set(crew.lines)
    const ask = async (line: Line): Promise<void> => {
      const leaver = { signal: AbortSignal.timeout(TELL_WITHIN_MS) }
      last.set(line, await line.other<CountMethods>().call('counted', null, leaver))
    }
    await Promise.allSettled([...there].map(ask))
    return [...last].map(([line, counted]) => (there.has(line) ? counted : { ...counted, open: 0, webSocketsOpen: 0 }))
  }
}
