// The hop of lib/http under a table of hostnames. It stands in for the whole front and node until they are put together with it.
import { readFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:tls'
import type { Journey } from '../../src/lib/http/exchange.ts'
import { Exchanges, listenFor } from '../../src/lib/http/fast/server.ts'
import { noLog } from '../../src/lib/log.ts'

type Hop = {
  readonly routes: ReadonlyMap<string, string>
  /** `keep` behind a hop of ours. */
  readonly forwarded: 'replace' | 'keep'
  readonly plain: number
  readonly tls?: { readonly port: number; readonly cert: string; readonly key: string }
}

const host = '127.0.0.1'

/** Opens one hop: what comes for a hostname goes to its address. */
export async function openHop({ routes, forwarded, plain, tls }: Hop): Promise<void> {
  const journey: Journey = async exchange => {
    const address = routes.get(hostnameOf(exchange.host ?? ''))
    if (address === undefined) exchange.answer({ status: 404 })
    else await exchange.forward({ address, forwarded })
  }
  const exchanges = new Exchanges({ journey, log: noLog, patience: { keepAliveMs: 600_000 } })
  await listenFor(exchanges, { host, port: plain })
  if (tls === undefined) return
  const { cert, key, port } = tls
  createTlsServer({ cert: readFileSync(cert), key: readFileSync(key), noDelay: true }, socket =>
    exchanges.accept(socket, true),
  ).listen(port, host, 4_096)
}

function hostnameOf(host: string): string {
  const colon = host.indexOf(':')
  return (colon < 0 ? host : host.slice(0, colon)).toLowerCase()
}
