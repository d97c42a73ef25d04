import type { Counted } from '../http/counters.ts'
import type { Crew } from './crew.ts'
import type { Line } from './line.ts'

type CountDeeds = { counted(input: null): Counted }

/** Has the main thread hear what this one counts. */
export function tellCounted(line: Line, counted: () => Counted): void {
  line.serve<CountDeeds>({ counted })
}

/** What the threads of a crew have counted; what one had that died is lost with it, which Prometheus takes for a restart. */
export async function countedBy(crew: Crew): Promise<readonly Counted[]> {
  const asked = crew.lines.map(line => line.other<CountDeeds>().call('counted', null))
  const told = await Promise.allSettled(asked)
  return told.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []))
}
