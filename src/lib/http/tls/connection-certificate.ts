import type { Certificate } from './certificate.ts'

type Made = { readonly servername: string | undefined; readonly certificate: Certificate }

const made = new WeakMap<object, Made>()

/** Remembers the hostname that a client named when it connected, and the certificate that it was shown. */
export function rememberCertificate(socket: object, servername: string | undefined, certificate: Certificate): void {
  made.set(socket, { servername: servername?.toLowerCase(), certificate })
}

/**
 * Tells whether a request for this host (as in `Host`, with its port) may arrive on this connection: the client named the same host, or the
 * certificate covers it, too (RFC 9113, 9.1.1). Other requests are misdirected (RFC 9110, 15.5.20). If the client named no host, all may arrive.
 */
export function mayArrive(host: string | undefined, socket: object): boolean {
  const connection = made.get(socket)
  if (connection === undefined || connection.servername === undefined || host === undefined) return true
  const hostname = host.replace(/:\d*$/, '').toLowerCase()
  return hostname === connection.servername || connection.certificate.covers(hostname.replace(/\.$/, ''))
}
