import type { Socket } from 'node:net'
import { type SecureContext, TLSSocket } from 'node:tls'
import type { Clock } from '../../lib/clock.ts'

const WITHIN_MS = 10_000

/** Ends the TLS of a client, whose ClientHello is still to be read from the socket; undefined if the handshake fails. Only HTTP/1.1 is offered. */
export function endTls(socket: Socket, secureContext: SecureContext, clock: Clock): Promise<TLSSocket | undefined> {
  return new Promise(resolve => {
    const secured = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: ['http/1.1'] })
    const settle = (result: TLSSocket | undefined): void => {
      late[Symbol.dispose]()
      secured.off('secure', done).off('close', failed)
      if (result === undefined) secured.destroy()
      resolve(result)
    }
    const done = (): void => settle(secured)
    const failed = (): void => settle(undefined)
    const late = clock.after(WITHIN_MS, failed)
    secured.on('error', failed).on('secure', done).on('close', failed)
  })
}
