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
  /** A body that passes more slowly, on average over `rateOverMs`, is cut; 0 for no such limit. */
  readonly leastBytesPerSecond: number
  readonly rateOverMs: number
  /** How long a client that was answered early may go on sending. */
  readonly lingerMs: number
}

export const LOOK_MS = 500

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
  } else lookAtExchange(client, parts, patience)
}

function lookAtExchange(client: Client, parts: Parts, patience: Patience): void {
  const { socket } = client
  // What is still in our buffers has not been taken by the client.
  const moved = socket.bytesRead + socket.bytesWritten - socket.writableLength
  const owes = client.exchange?.awaitsBody === true || socket.writableLength > 0
  if (!owes || moved !== client.moved) client.quietMs = 0
  else client.quietMs += LOOK_MS
  client.moved = moved
  if (client.quietMs > patience.stalledAfterMs || isTooSlow(client, moved, owes, patience)) {
    parts.counters.stalled += 1
    client.stalled(patience.stalledAfterMs)
  }
}

/** Whether fewer bytes than the least rate have passed, over a while in which some were owed at every look. */
function isTooSlow(
  client: Client,
  moved: number,
  owes: boolean,
  { leastBytesPerSecond, rateOverMs }: Patience,
): boolean {
  if (leastBytesPerSecond === 0) return false
  if (!owes || client.owingMs === 0) {
    client.owingMs = owes ? LOOK_MS : 0
    client.owingFrom = moved
    return false
  }
  client.owingMs += LOOK_MS
  if (client.owingMs <= rateOverMs) return false
  const tooSlow = moved - client.owingFrom < (leastBytesPerSecond * (client.owingMs - LOOK_MS)) / 1_000
  client.owingMs = 0
  return tooSlow
}
