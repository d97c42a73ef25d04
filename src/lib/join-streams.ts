import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from './clock.ts'

type Options = {
  /** After so long without a byte both are closed; undefined: they are not. */
  readonly idleMs: number | undefined
  /** The same from when one side has ended; left out: `idleMs`. */
  readonly halfIdleMs?: number | undefined
  /** A client that breaks resets the server too, which must not take what came for all there is; left out: the server's connection is closed. */
  readonly resetsServer?: boolean
  readonly clock: Clock
}

/** Why two joined streams have ended: both sides did, or nothing passed for too long, or one of them broke. */
export type Ended = 'closed' | 'idle' | { readonly cause: unknown }

/** Two streams that are joined. */
export type Joined = { readonly ended: Promise<Ended>; usedAt(): number; cut(): void }

/**
 * Passes the bytes of a client on to a server and back, until both sides have ended. A side that ends is ended on the other stream too, and the
 * other direction goes on. If one of them breaks, the other one is reset.
 */
export function joinStreams(
  client: Socket,
  server: Duplex,
  { idleMs, halfIdleMs = idleMs, resetsServer = false, clock }: Options,
): Joined {
  let usedAt = clock.now()
  const { promise: ended, resolve } = Promise.withResolvers<Ended>()
  let idle: Disposable | undefined
  let isOver = false
  const end = (why: Ended): void => {
    if (isOver) return
    isOver = true
    idle?.[Symbol.dispose]()
    if (typeof why === 'object' && resetsServer && server instanceof Socket) server.resetAndDestroy()
    else if (why !== 'closed') server.destroy()
    if (typeof why === 'object') client.resetAndDestroy()
    else client.destroySoon()
    resolve(why)
  }
  const wait = (): void => {
    const most = client.readableEnded || server.readableEnded ? halfIdleMs : idleMs
    if (most === undefined) return
    const left = usedAt + most - clock.now()
    if (left > 0) idle = clock.after(left, wait)
    else end('idle')
  }
  const used = (): void => {
    usedAt = clock.now()
  }
  const half = (): void => {
    if (isOver || halfIdleMs === idleMs) return
    idle?.[Symbol.dispose]()
    used()
    wait()
  }
  let open = 2
  const closed = (stream: Duplex) => (): void => {
    // A stream that was destroyed before both of its sides had ended has broken.
    if (!(stream.readableEnded && stream.writableFinished)) end({ cause: stream.errored ?? undefined })
    else if (--open === 0) end('closed')
  }
  for (const stream of [client, server])
    stream.on('data', used).once('end', half).on('error', ignore).once('close', closed(stream))
  wait()
  client.pipe(server)
  server.pipe(client)
  // One that broke before it came here.
  if (server.destroyed) end({ cause: server.errored ?? undefined })
  if (client.destroyed) end({ cause: undefined })
  return { ended, usedAt: () => usedAt, cut: () => end({ cause: undefined }) }
}

const ignore = (): void => undefined // `close` follows
