import type { Clock } from '../../clock.ts'
import { ShadowError } from '../../errors.ts'
import type { Gate } from '../gate.ts'
import { GOES_ON_WITHIN_MS } from '../half-closed.ts'
import { keepsPace } from '../pace.ts'
import type { Client } from './client.ts'
import type { Parts } from './parts.ts'

export const LOOK_MS = 500

/** One timer for all connections, instead of one or more for each: looks at them twice a second. */
export function looks(parts: Parts, gate: Gate, clock: Clock): Disposable {
  const look = (): void => {
    for (const client of parts.clients) lookAt(client, parts)
    for (const session of parts.sessions) session.look()
    parts.pool.look()
    parts.safe.visits.look(LOOK_MS)
    gate.look()
    alarm = clock.after(LOOK_MS, look)
  }
  let alarm = clock.after(LOOK_MS, look)
  return { [Symbol.dispose]: () => alarm[Symbol.dispose]() }
}

function lookAt(client: Client, parts: Parts): void {
  const { counters, limits } = parts
  client.looks += 1
  const ms = client.looks * LOOK_MS
  if (client.lingers) {
    if (ms >= limits.lingerMs) client.cut()
  } else if (client.exchange !== undefined) lookAtExchange(client, parts)
  else if (client.readsHead) {
    if (ms < limits.headWithinMs) return
    counters.lateHeads += 1
    client.refuse(new ShadowError('too-slow', `the head was not whole within ${limits.headWithinMs} ms`))
  } else if (ms >= limits.keepAliveMs || (client.served === 0 && ms >= limits.headWithinMs)) {
    counters.idle += 1
    client.cut()
  }
}

function lookAtExchange(client: Client, { counters, limits }: Parts): void {
  const { outlet, socket } = client
  if (client.hasEnded) client.probe()
  const late = client.exchange?.awaitsBody === true
  // What is still in our buffers has not been taken by the client.
  const moved = socket.bytesRead + socket.bytesWritten - outlet.waiting
  const owes = late || !outlet.isWritten || (client.hasEnded && client.exchange?.answered === true)
  if (keepsPace(client, moved, owes, LOOK_MS, limits)) {
    if (client.hasEnded && client.quietMs >= GOES_ON_WITHIN_MS && outlet.isWritten) client.cut()
    return
  }
  if (late) counters.slowBodies += 1
  else counters.slowReaders += 1
  client.tooSlow(late)
}
