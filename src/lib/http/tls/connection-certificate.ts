import type { Certificate } from './certificate.ts'

type Made = { readonly servername: string | undefined; readonly certificate: Certificate }

const made = new WeakMap<object, Made>()

/** Remembers for which host a connection was made, and with which certificate. */
export function certified(socket: object, servername: string | undefined, certificate: Certificate): void {
  made.set(socket, { servername: servername?.toLowerCase(), certificate })
}

/**
 * Whether a request for this host (as in `Host`, with its port) may come by this connection: made for it, or with a certificate that
 * is for it, too (RFC 9113, 9.1.1). Else it is misdirected (RFC 9110, 15.5.20). A client that named no host has said nothing.
 */
export function mayCome(host: string | undefined, socket: object): boolean {
  const connection = made.get(socket)
  if (connection === undefined || connection.servername === undefined || host === undefined) return true
  const hostname = host.replace(/:\d*$/, '').toLowerCase()
  return hostname === connection.servername || connection.certificate.covers(hostname.replace(/\.$/, ''))
}
