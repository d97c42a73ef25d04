import { ShadowError } from '../../errors.ts'
import type { RequestHandler } from '../exchange.ts'
import type { Certificate } from './certificate.ts'

type Shown = { readonly servername: string | undefined; readonly certificate: Certificate }

const shown = new WeakMap<object, Shown>()

/** Remembers the hostname that a client named when it connected, and the certificate that it was shown. */
export function rememberCertificate(socket: object, servername: string | undefined, certificate: Certificate): void {
  shown.set(socket, { servername: servername?.toLowerCase(), certificate })
}

/**
 * Handles the requests that may arrive on their connection: the client named the same host when it connected, or none, or the certificate covers the
 * host, too (RFC 9113, 9.1.1). Refuses the others as misdirected (RFC 9110, 15.5.20).
 */
export const refuseMisdirected =
  (handler: RequestHandler): RequestHandler =>
  exchange => {
    if (!exchange.secure || mayArrive(exchange.host, exchange.connection)) return handler(exchange)
    throw new ShadowError('misdirected', `the connection is for another host than ${exchange.host}`)
  }

/** `host` is as in `Host`, with its port. */
function mayArrive(host: string | undefined, socket: object): boolean {
  const connection = shown.get(socket)
  if (connection === undefined || connection.servername === undefined || host === undefined) return true
  const hostname = host.replace(/:\d*$/, '').toLowerCase()
  return hostname === connection.servername || connection.certificate.covers(hostname.replace(/\.$/, ''))
}
