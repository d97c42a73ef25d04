import { X509Certificate } from 'node:crypto'
import { connect } from 'node:tls'
import type { ShownCertificate } from '../../model/domain-state.ts'

type Options = { readonly address: string; readonly port?: number; readonly signal: AbortSignal }

/** The certificate that a server at the address shows for a hostname; null: there is none. */
export function certificateAt(hostname: string, options: Options): Promise<ShownCertificate | null> {
  const { address, port = 443, signal } = options
  return new Promise(resolve => {
    const socket = connect({ host: address, port, servername: hostname, rejectUnauthorized: false })
    const end = (certificate: ShownCertificate | null): void => {
      signal.removeEventListener('abort', leave)
      socket.destroy()
      resolve(certificate)
    }
    const leave = (): void => end(null)
    if (signal.aborted) return leave()
    signal.addEventListener('abort', leave, { once: true })
    socket
      .on('secureConnect', () => {
        const { raw } = socket.getPeerCertificate()
        // With rejectUnauthorized off, `authorizationError` is the code of the fault, though it is declared as an error.
        const fault: unknown = socket.authorized ? null : socket.authorizationError
        end(raw === undefined ? null : shown(new X509Certificate(raw), fault === null ? null : String(fault)))
      })
      .on('error', leave)
  })
}

function shown(certificate: X509Certificate, fault: string | null): ShownCertificate {
  const names = [...(certificate.subjectAltName ?? '').matchAll(/DNS:([^,\s]+)/g)].flatMap(([, name]) => name ?? [])
  return {
    names,
    issuer: /^(?:O|CN)=(.*)$/m.exec(certificate.issuer)?.[1] ?? certificate.issuer.replaceAll('\n', ', '),
    until: new Date(certificate.validTo).toISOString(),
    fault,
  }
}
