import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { FrameBoundaries } from './frames.ts'

type SpliceOptions = {
  readonly clock: Clock
  /** Set for a WebSocket: how long its client may be silent before it is pinged. */
  readonly pingEveryMs?: number | undefined
  /** How long a side may take no byte that waits for it, and how long the other may be silent once one has ended. */
  readonly stalledAfterMs: number
  readonly signal: AbortSignal
}

const PING = Buffer.from([0x89, 0x00])

/** Joins two sockets with backpressure and half-close, until both have closed. What fails on one side cuts the other. */
export async function splice(client: Socket, upstream: Socket, options: SpliceOptions): Promise<void> {
  const cut = (): void => {
    client.destroy()
    upstream.destroy()
  }
  const bothClosed = Promise.all([closed(client, upstream), closed(upstream, client)])
  if (options.signal.aborted) cut()
  options.signal.addEventListener('abort', cut, { once: true })
  using _pings =
    options.pingEveryMs === undefined ? undefined : pings(client, upstream, options.pingEveryMs, options, cut)
  if (options.pingEveryMs === undefined) upstream.pipe(client)
  client.pipe(upstream)
  using _stalls = stalls(client, upstream, options, cut)
  await bothClosed
  options.signal.removeEventListener('abort', cut)
}

/** Resolves when the socket has closed, and sees to it that the other closes too. */
function closed(one: Socket, other: Socket): Promise<void> {
  return new Promise(resolve => {
    const leave = (): void => {
      // What was read before the end still goes out; after an error there is nobody to vouch for it.
      if (one.errored || !one.readableEnded) other.destroy()
      else if (!other.writableEnded) other.end()
      resolve()
    }
    if (one.closed) return leave()
    one.on('error', () => undefined).once('close', leave)
  })
}

/** Passes the upstream's frames on to the client, with pings in between when the client has been silent; one that stays so is cut. */
function pings(
  client: Socket,
  upstream: Socket,
  everyMs: number,
  { clock }: SpliceOptions,
  cut: () => void,
): Disposable {
  const frames = new FrameBoundaries()
  let heardAt = clock.now()
  let pingedAt: number | undefined
  let due = false

  const heard = (): void => {
    heardAt = clock.now()
    pingedAt = undefined
    due = false
  }
  const ping = (): void => {
    due = false
    pingedAt = clock.now()
    if (client.writable) client.write(PING)
  }
  const look = (): void => {
    const now = clock.now()
    if (pingedAt !== undefined && now - pingedAt >= everyMs) {
      cut()
      return
    }
    if (now - heardAt >= everyMs && pingedAt === undefined) {
      if (frames.atBoundary) ping()
      else due = true
    }
    alarm = clock.after(Math.max(1, (pingedAt ?? (now - heardAt >= everyMs ? now : heardAt)) + everyMs - now), look)
  }

  let alarm = clock.after(everyMs, look)
  client.on('data', heard)
  client.on('drain', heard).on('drain', () => upstream.resume()) // taking bytes in is a sign of life too
  upstream
    .on('data', (chunk: Buffer) => {
      const boundary = frames.push(chunk)
      let room: boolean
      if (due && boundary >= 0) {
        client.write(chunk.subarray(0, boundary))
        ping()
        room = client.write(chunk.subarray(boundary))
      } else room = client.write(chunk)
      if (!room) upstream.pause()
    })
    .on('end', () => client.end())
  return { [Symbol.dispose]: () => alarm[Symbol.dispose]() }
}

/** Cuts when one half has ended and the other falls silent, or when one side takes no byte: nobody may be there any more. */
function stalls(
  client: Socket,
  upstream: Socket,
  { clock, stalledAfterMs }: SpliceOptions,
  cut: () => void,
): Disposable {
  let seen = -1
  const look = (): void => {
    const waiting = client.writableLength + upstream.writableLength
    const moved = client.bytesRead + upstream.bytesRead + client.bytesWritten + upstream.bytesWritten - waiting
    const owed = waiting > 0 || client.readableEnded || upstream.readableEnded
    if (owed && moved === seen) cut()
    else alarm = clock.after(stalledAfterMs, look)
    seen = moved
  }
  let alarm = clock.after(stalledAfterMs, look)
  return { [Symbol.dispose]: () => alarm[Symbol.dispose]() }
}
