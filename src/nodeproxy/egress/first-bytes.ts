import type { Socket } from 'node:net'
import type { Clock } from '../../lib/clock.ts'
import { beginsTls, type ClientHello, readClientHello } from '../../lib/tls/client-hello.ts'

const WITHIN_MS = 10_000
const MOST_BYTES = 32_768

type First = Exclude<ClientHello, { kind: 'more' }> | { readonly kind: 'plain' }

/**
 * What a client says first: a ClientHello, or something else, which may be HTTP. Its bytes are still to be read from the socket, which is
 * paused. Undefined if the client has left, or is too slow.
 */
export function firstBytes(socket: Socket, clock: Clock): Promise<First | undefined> {
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let length = 0
    const settle = (first: First | undefined): void => {
      late[Symbol.dispose]()
      socket.off('data', read).off('close', left).off('end', left)
      socket.pause()
      if (chunks.length > 0 && !socket.destroyed) socket.unshift(Buffer.concat(chunks))
      resolve(first)
    }
    const read = (chunk: Buffer): void => {
      chunks.push(chunk)
      length += chunk.length
      const bytes = Buffer.concat(chunks)
      if (!beginsTls(bytes[0] ?? 0)) {
        settle({ kind: 'plain' })
        return
      }
      const hello = readClientHello(bytes)
      if (hello.kind !== 'more') settle(hello)
      else if (length > MOST_BYTES) settle({ kind: 'fault', fault: 'its ClientHello is too long' })
    }
    const left = (): void => settle(undefined)
    const late = clock.after(WITHIN_MS, left)
    socket.on('data', read).on('close', left).on('end', left)
  })
}
