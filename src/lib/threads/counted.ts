import type { Counted } from '../http/counters.ts'
import type { Channel } from './channel.ts'
import type { WorkerPool } from './worker-pool.ts'

type CountMethods = { counted(input: null): Counted }

/** A thread that is too busy to tell is shown as it was last. */
const TELL_WITHIN_MS = 500

/** Has the main thread hear what this one counts. */
export function tellCounted(channel: Channel, counted: () => Counted): void {
  channel.serve<CountMethods>({ counted })
}

/** What the threads of a pool have counted, also those that have died, as they told last: a sum must not go down. */
export function countsOf(pool: WorkerPool): () => Promise<readonly Counted[]> {
  const last = new Map<Channel, Counted>()
  return async () => {
    const there = new Set(pool.channels)
    const ask = async (channel: Channel): Promise<void> => {
      const cancellation = { signal: AbortSignal.timeout(TELL_WITHIN_MS) }
      last.set(channel, await channel.other<CountMethods>().call('counted', null, cancellation))
    }
    await Promise.allSettled([...there].map(ask))
    return [...last].map(([channel, counted]) =>
      there.has(channel) ? counted : { ...counted, open: 0, webSocketsOpen: 0 },
    )
  }
}
