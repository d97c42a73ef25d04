import { Exchanges, listenFor } from '../../../src/lib/http/downstream/exchange-server.ts'
import type { Journey } from '../../../src/lib/http/exchange.ts'
import { noLog } from '../../../src/lib/log.ts'
import { oneHop, twoHops } from './product.ts'

/** A proxy under test, before one back end: `saw` is `METHOD target` of each request that it knows it was asked. */
export type Front = AsyncDisposable & {
  readonly port: number
  /** Where it serves HTTPS. */
  readonly tlsPort?: number | undefined
  /** HTTPS is what it is to be struck by. */
  readonly secure?: boolean
  saw(): readonly string[]
}

/** How such a proxy is opened, and what it is tried with. */
export type Opens = {
  readonly open: (backend: string) => Promise<Front>
  /** Back ends that it is not tried before, as others are that consist of it. */
  readonly skips?: readonly string[]
  /** It is struck by HTTP/2, too. */
  readonly byH2?: true
}

/** The proxies that the suite runs on, by their names; each is opened before the back end at this address. */
export const fronts: Record<string, Opens> = {
  'a front': { open: oneHop, byH2: true },
  'a front and a node': { open: twoHops, byH2: true, skips: ['haproxy', 'caddy'] },
  // What is decrypted is not read as what comes plain: into other memory, and in other pieces.
  'a front by HTTPS': { open: overTls, skips: ['node:http, lenient', 'haproxy', 'caddy'] },
  'the forwarder alone': { open: forwarder, skips: ['haproxy', 'caddy', 'a stickler'] },
}

const ANY_PORT = { host: '127.0.0.1', port: 0 }

async function overTls(backend: string): Promise<Front> {
  return { ...(await oneHop(backend)), secure: true }
}

async function forwarder(backend: string): Promise<Front> {
  const saw: string[] = []
  const exchanges = new Exchanges({ journey: toApp(backend, saw), log: noLog })
  const listening = await listenFor(exchanges, ANY_PORT)
  return { ...listening, saw: () => saw }
}

/** Forwards to the one app that there is, and answers for all other hosts. */
function toApp(address: string, saw: string[]): Journey {
  return async exchange => {
    saw.push(`${exchange.method} ${exchange.target}`)
    if (exchange.host?.toLowerCase() === 'app') await exchange.forward({ address, forwarded: 'replace' })
    else exchange.answer({ status: 404 })
  }
}
