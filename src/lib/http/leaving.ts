import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { ShadowError } from '../errors.ts'

type Watch = {
  readonly socket: Socket
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly stalledAfterMs: number
  /** Whether bytes are awaited from the client. */
  readonly owes: () => boolean
}

const LOOKS = 4

/**
 * A signal that aborts when the client leaves, when it stalls, or with the signal given; dispose it when the answer is out. It
 * looks at the connection itself: of pipelined requests node:http tells only the first that the client has left.
 */
export function leaving({ socket, signal, clock, stalledAfterMs, owes }: Watch): { signal: AbortSignal } & Disposable {
  const controller = new AbortController()
  const left = (): void => controller.abort(new ShadowError('client-gone', 'the client left before its answer'))
  const told = (): void => controller.abort(signal.reason)
  if (socket.destroyed) left()
  if (signal.aborted) told()
  socket.once('close', left)
  signal.addEventListener('abort', told, { once: true })

  let quiet = 0
  let moved = -1
  const look = (): void => {
    // What is still in our buffers has not been taken by the client.
    const now = socket.bytesRead + socket.bytesWritten - socket.writableLength
    const stalls = now === moved && (socket.writableLength > 0 || owes())
    moved = now
    quiet = stalls ? quiet + 1 : 0
    if (quiet >= LOOKS)
      controller.abort(new ShadowError('client-gone', `the client took and gave no byte for ${stalledAfterMs} ms`))
    else alarm = clock.after(stalledAfterMs / LOOKS, look)
  }
  let alarm = clock.after(stalledAfterMs / LOOKS, look)

  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      socket.off('close', left)
      signal.removeEventListener('abort', told)
      alarm[Symbol.dispose]()
    },
  }
}
