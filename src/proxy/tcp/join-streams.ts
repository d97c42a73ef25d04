import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../lib/clock.ts'

type Options = {
  /** After so long without a byte both are closed; undefined: they are not. */
  readonly idleMs: number | undefined
  readonly clock: Clock
}

/** Why two joined streams have ended: both sides did, or nothing passed for too long, or one of them broke. */
export type Ended = 'closed' | 'idle' | { readonly cause: unknown }

/** Two streams that are joined. */
export type Joined = { readonly ended: Promise<Ended>; usedAt(): number; cut(): void }

/**
 * Passes the bytes of a client on to an app and back, until both sides have ended. A side that ends is ended on the other stream too, and the
 * other direction goes on. If one of them breaks, the other one is reset.
 */
export function joinStreams(client: Socket, app: Duplex, { idleMs, clock }: Options): Joined {
  let usedAt = clock.now()
  const { promise: ended, resolve } = Promise.withResolvers<Ended>()
  let idle: Disposable | undefined
  let isOver = false
  const end = (why: Ended): void => {
    if (isOver) return
    isOver = true
    idle?.[Symbol.dispose]()
    if (why !== 'closed') app.destroy()
    if (typeof why === 'object') client.resetAndDestroy()
    else client.destroySoon()
    resolve(why)
  }
  const wait = (ms: number, most: number): void => {
    idle = clock.after(ms, () => {
      const left = usedAt + most - clock.now()
      if (left > 0) wait(left, most)
      else end('idle')
    })
  }
  const used = (): void => {
    usedAt = clock.now()
  }
  let open = 2
  const closed = (stream: Duplex) => (): void => {
    // A stream that was destroyed before both of its sides had ended has broken.
    if (!(stream.readableEnded && stream.writableFinished)) end({ cause: stream.errored ?? undefined })
    else if (--open === 0) end('closed')
  }
  for (const stream of [client, app]) stream.on('data', used).on('error', ignore).once('close', closed(stream))
  if (idleMs !== undefined) wait(idleMs, idleMs)
  client.pipe(app)
  app.pipe(client)
  // One that broke before it came here.
  if (app.destroyed) end({ cause: app.errored ?? undefined })
  if (client.destroyed) end({ cause: undefined })
  return { ended, usedAt: () => usedAt, cut: () => end({ cause: undefined }) }
}

const ignore = (): void => undefined // `close` follows
