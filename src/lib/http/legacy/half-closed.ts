import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../clock.ts'
import { isUpgrade } from './heads.ts'

const LOOK_MS = 500
/** Within an answer nothing of ours can be sent to ask: one that goes on for so long without a byte is not held for who may have left. */
export const GOES_ON_WITHIN_MS = 10_000

/**
 * Asks a client that ends its side behind its request whether it is there: it may wait for its answer, or have closed the connection,
 * which looks the same until something is sent, and answered by a reset. An interim answer may come unasked (RFC 9110, 15.2); HTTP/1.0
 * knows none, so there only the answer itself can tell.
 */
export function askIfThere(request: IncomingMessage, response: ServerResponse, clock: Clock): void {
  const { socket } = request
  if (isUpgrade(request)) {
    // One side alone is no use for what it asks for.
    socket.once('end', () => response.socket === null || response.headersSent || socket.destroy())
    return
  }
  let looks = 0
  let quietMs = 0
  let written = -1
  let alarm: Disposable | undefined
  const look = (): void => {
    if (socket.destroyed) return
    looks += 1
    quietMs = response.headersSent && socket.bytesWritten === written ? quietMs + LOOK_MS : 0
    written = socket.bytesWritten
    if (quietMs >= GOES_ON_WITHIN_MS && socket.writableLength === 0) {
      socket.destroy()
      return
    }
    const asks = looks === 2 && request.httpVersion === '1.1' && !response.headersSent && response.socket !== null
    if (asks) response.writeContinue()
    else if (socket.writableLength === 0) socket.write('') // tells of a reset that has come
    wait()
  }
  const wait = (): void => {
    alarm = clock.after(LOOK_MS, look)
  }
  if (socket.readableEnded) wait()
  else socket.once('end', wait)
  response.once('close', () => {
    socket.off('end', wait)
    alarm?.[Symbol.dispose]()
  })
}
