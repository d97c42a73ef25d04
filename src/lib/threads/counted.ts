import type { Counted } from '../http/counters.ts'
import { readLag } from '../metrics/event-loop-lag.ts'
import type { Channel } from './channel.ts'
import type { WorkerPool } from './worker-pool.ts'

type CountMethods = { counted(input: null): Counted }

/** A thread that does not answer within this time is shown with its last counters. */
const ANSWER_WITHIN_MS = 500

/** Lets the main thread read the counters of this thread. */
export function serveCounted(channel: Channel, counted: () => Counted): void {
  channel.serve<CountMethods>({ counted: () => ({ ...counted(), lag: readLag() }) })
}

/** The last known counters of all threads of a pool, including dead ones: a sum must not go down. */
export function countsOf(pool: WorkerPool): () => Promise<readonly Counted[]> {
  const last = new Map<Channel, Counted>()
  return async () => {
    const there = new Set(pool.channels)
    const read = async (channel: Channel): Promise<void> => {
      const cancellation = { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) }
      last.set(channel, await channel.other<CountMethods>().call('counted', null, cancellation))
    }
    await Promise.allSettled([...there].map(read))
    return [...last].map(([channel, counted]) =>
      there.has(channel) ? counted : { ...counted, open: 0, webSocketsOpen: 0, lag: undefined },
    )
  }
}
