import { ExchangeServer, listenFor } from '../../../src/lib/http/downstream/exchange-server.ts'
import type { RequestHandler } from '../../../src/lib/http/exchange.ts'
import { noLog } from '../../../src/lib/log.ts'
import type { Front } from './front.ts'
import { oneHop, twoHops } from './product.ts'

/** How a proxy is opened, and which back ends and protocols it is tested with. */
export type Opens = {
  readonly open: (backend: string) => Promise<Front>
  /** Back ends that are left out, because the parts of this proxy are tested with them. */
  readonly skips?: readonly string[]
  /** Whether the suite also connects by HTTP/2. */
  readonly byH2?: true
}

/** The proxies of the suite by name; each is opened in front of the back end at this address. */
export const fronts: Record<string, Opens> = {
  'a front': { open: oneHop, byH2: true },
  'a front and a node': { open: twoHops, byH2: true, skips: ['haproxy', 'caddy'] },
  // Decrypted bytes are read into other memory, and in other pieces, than bytes of a plain connection.
  'a front by HTTPS': { open: overTls, skips: ['node:http, lenient', 'haproxy', 'caddy'] },
  'the forwarder alone': { open: forwarder, skips: ['haproxy', 'caddy', 'a strict back end'] },
}

const ANY_PORT = { host: '127.0.0.1', port: 0 }

async function overTls(backend: string): Promise<Front> {
  return { ...(await oneHop(backend)), secure: true }
}

async function forwarder(backend: string): Promise<Front> {
  const saw: string[] = []
  const exchanges = new ExchangeServer({ handler: toApp(backend, saw), log: noLog })
  const listening = await listenFor(exchanges, ANY_PORT)
  return { ...listening, saw: () => saw }
}

/** Forwards requests for the host `app`, and answers requests for all other hosts. */
function toApp(address: string, saw: string[]): RequestHandler {
  return async exchange => {
    saw.push(`${exchange.method} ${exchange.target}`)
    if (exchange.host?.toLowerCase() === 'app') await exchange.forward({ address, forwarded: 'replace' })
    else exchange.answer({ status: 404 })
  }
}
