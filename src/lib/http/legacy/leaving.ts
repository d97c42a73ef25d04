import type { Socket } from 'node:net'
import type { Clock } from '../../clock.ts'
import { ShadowError } from '../../errors.ts'
import type { Limits } from '../guard/limits.ts'
import { keepsPace, newPace } from '../guard/transfer-rate.ts'

type Watch = {
  readonly socket: Socket
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly limits: Limits
  /** Whether bytes are awaited from the client. */
  readonly owes: () => boolean
  /** What ends the wait for a client that is too slow; `late`: with what it should give, not with what it should take. */
  readonly onSlow: (late: boolean) => ShadowError
}

const LOOKS = 4

type Leaving = Disposable & {
  readonly signal: AbortSignal
  /** Ends the wait for the client. */
  readonly end: (error: ShadowError) => void
}

/**
 * A signal that aborts when the client leaves, when it is too slow, or with the signal given; dispose it when the answer is out. It
 * looks at the connection itself: of pipelined requests node:http tells only the first that the client has left.
 */
export function leaving({ socket, signal, clock, limits, owes, onSlow }: Watch): Leaving {
  const controller = new AbortController()
  const left = (): void => controller.abort(new ShadowError('client-gone', 'the client left before its answer'))
  const told = (): void => controller.abort(signal.reason)
  if (socket.destroyed) left()
  if (signal.aborted) told()
  socket.once('close', left)
  signal.addEventListener('abort', told, { once: true })

  const { stalledAfterMs, leastBytesPerSecond, rateOverMs } = limits
  const everyMs = Math.min(stalledAfterMs, leastBytesPerSecond > 0 ? rateOverMs : Number.POSITIVE_INFINITY) / LOOKS
  const pace = newPace()
  const look = (): void => {
    const late = owes()
    // What is still in our buffers has not been taken by the client.
    const now = socket.bytesRead + socket.bytesWritten - socket.writableLength
    // Of one that has ended its side nobody can tell for long whether it still waits.
    const owed = late || socket.writableLength > 0 || socket.readableEnded
    if (keepsPace(pace, now, owed, everyMs, limits)) alarm = clock.after(everyMs, look)
    else controller.abort(onSlow(late))
  }
  let alarm = clock.after(everyMs, look)

  return {
    signal: controller.signal,
    end: error => controller.abort(error),
    [Symbol.dispose]() {
      socket.off('close', left)
      signal.removeEventListener('abort', told)
      alarm[Symbol.dispose]()
    },
  }
}
