import type { Clock } from '../../clock.ts'
import type { Client } from './client.ts'
import type { Parts } from './parts.ts'

export type Patience = {
  /** A head must be whole so soon after its first byte; else 408. */
  readonly headWithinMs: number
  /** A connection without a request is closed after so long. */
  readonly keepAliveMs: number
  /** A client that neither takes nor gives a byte for so long, though it should, is cut. */
  readonly stalledAfterMs: number
  /** A body that comes slower than this, on average over `stalledAfterMs / 4`, is cut; 0 for no such limit. */
  readonly leastBytesPerSecond: number
  /** How long a client that was answered early may go on sending. */
  readonly lingerMs: number
}

export const LOOK_MS = 500
const RATE_OVER = 4

/** One timer for all connections, instead of one or more for each: looks at them twice a second. */
export function looks(parts: Parts, patience: Patience, clock: Clock): Disposable {
  const look = (): void => {
    for (const client of parts.clients) lookAt(client, parts, patience)
    parts.pool.look()
    alarm = clock.after(LOOK_MS, look)
  }
  let alarm = clock.after(LOOK_MS, look)
  return { [Symbol.dispose]: () => alarm[Symbol.dispose]() }
}

function lookAt(client: Client, parts: Parts, patience: Patience): void {
  client.looks += 1
  const ms = client.looks * LOOK_MS
  if (client.lingers) {
    if (ms >= patience.lingerMs) client.cut()
  } else if (client.exchange === undefined) {
    if (client.readsHead) {
      if (ms >= patience.headWithinMs) {
        parts.counters.stalled += 1
        client.refuse(408, `the head was not whole within ${patience.headWithinMs} ms`)
      }
    } else if (ms >= patience.keepAliveMs) client.cut()
  } else lookAtExchange(client, parts, patience, ms)
}

function lookAtExchange(client: Client, parts: Parts, patience: Patience, ms: number): void {
  const { socket } = client
  const awaited = client.exchange?.awaitsBody === true
  if (!awaited && socket.writableLength === 0) {
    client.looks = 0
    client.moved = -1
    return
  }
  // What is still in our buffers has not been taken by the client.
  const moved = socket.bytesRead + socket.bytesWritten - socket.writableLength
  if (client.moved < 0) client.moved = moved
  const window = patience.stalledAfterMs / RATE_OVER
  const tooSlow = ms >= window && moved - client.moved < (patience.leastBytesPerSecond * ms) / 1_000
  if (ms >= patience.stalledAfterMs || (patience.leastBytesPerSecond > 0 && tooSlow)) {
    if (moved - client.moved === 0 || tooSlow) {
      parts.counters.stalled += 1
      client.stalled(patience.stalledAfterMs)
      return
    }
  }
  if (moved !== client.moved && ms >= window) {
    client.looks = 0
    client.moved = moved
  }
}
