import { type ExchangeServer, listenFor } from '../lib/http/downstream/exchange-server.ts'
import type { Listening } from '../lib/http/listening.ts'
import { mutualServers } from '../lib/http/tls/mutual.ts'
import type { Log } from '../lib/log.ts'
import type { ListenAddress } from '../lib/settings.ts'
import type { Trust } from './trust.ts'

type Trusted = { readonly trust: Trust | undefined; readonly drainMs: number; readonly log: Log }

/** Listens for masters and fronts: in a cluster by mutual TLS, else in clear. */
export function listenTrusted(
  exchanges: ExchangeServer,
  at: ListenAddress,
  { trust, drainMs, log }: Trusted,
): Promise<Listening> {
  const servers = trust && mutualServers({ credentials: trust.credentials, peers: trust.peers, exchanges, log })
  return listenFor(exchanges, at, drainMs, servers && { servers })
}
