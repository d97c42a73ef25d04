import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { ExchangeServer, type ExchangeServerOptions } from '../lib/http/downstream/exchange-server.ts'
import { Certificates } from '../lib/http/tls/certificates.ts'
import { tlsServer } from '../lib/http/tls/listener.ts'
import { renewed, TicketKeys } from '../lib/http/tls/ticket-keys.ts'
import { noLog } from '../lib/log.ts'
import { HandClock } from './clock.ts'

/** A TLS server with the certificates of a folder, in front of one upstream. */
export async function secured(
  upstream: { readonly address: string },
  folder: string,
  options: Partial<ExchangeServerOptions> & { handshakeWithinMs?: number } = {},
) {
  const clock = new HandClock(Date.now())
  const certificates = await Certificates.open({ folder, clock, log: noLog, lookEveryMs: 1_000 })
  const exchanges = new ExchangeServer({
    log: noLog,
    clock,
    handler: exchange => exchange.forward({ address: upstream.address, forwarded: 'replace' }),
    ...options,
  })
  const { handshakeWithinMs } = options
  const ticketKeys = new TicketKeys()
  // A clock of its own: the other one makes the certificates look for changed files each second.
  const ticketClock = new HandClock()
  renewed(ticketKeys, ticketClock)
  const server = tlsServer({ certificates, exchanges, log: noLog, ticketKeys, handshakeWithinMs })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    clock,
    ticketClock,
    certificates,
    exchanges,
    async [Symbol.asyncDispose]() {
      const closed = new Promise(resolve => server.close(resolve))
      exchanges[Symbol.dispose]()
      certificates[Symbol.dispose]()
      await closed
    },
  }
}
