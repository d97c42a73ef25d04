import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { framed } from './wire-format.ts'

type Options = {
  /** The answer to a message; undefined for none. Never rejects. */
  readonly answer: (message: Buffer) => Promise<Buffer | undefined>
  readonly clock: Clock
}

/** A connection is closed after so long without a question. */
const IDLE_MS = 10_000
const MOST_MESSAGE = 1_024
/** A connection whose client does not read its answers is closed. */
const MOST_UNREAD_BYTES = 65_536

/** Answers the messages of a connection, each of which has its length before it (RFC 1035, 4.2.2). */
export function answerByTcp(socket: Socket, { answer, clock }: Options): void {
  let idle = clock.after(IDLE_MS, () => socket.destroy())
  socket.on('error', () => undefined)
  socket.once('close', () => idle[Symbol.dispose]())
  let rest = Buffer.alloc(0)
  socket.on('data', chunk => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const length = rest.readUInt16BE(0)
      const message = rest.subarray(2, 2 + length)
      rest = rest.subarray(2 + length)
      idle[Symbol.dispose]()
      idle = clock.after(IDLE_MS, () => socket.destroy())
      void answer(message).then(bytes => {
        if (bytes === undefined || socket.destroyed) return
        socket.write(framed(bytes))
        if (socket.writableLength > MOST_UNREAD_BYTES) socket.resetAndDestroy()
      })
    }
    if (rest.length > MOST_MESSAGE) socket.destroy()
  })
}
