import { authorityCertificate, certificateRequest, newPrivateKey, signCertificate } from '../../src/lib/tls/x509.ts'

const DAY_MS = 86_400_000
/** The key and the certificate of the hosts outside, and the authority that has signed it. */
export async function hostsOutside() {
  const [key, own] = [newPrivateKey(), newPrivateKey()]
  const times = { from: Date.now() - DAY_MS, until: Date.now() + DAY_MS }
  const ca = await authorityCertificate({ name: 'outside', key, ...times })
  const cert = await signCertificate(
    { certificate: ca, key },
    {
      request: await certificateRequest(own),
      name: 'hosts',
      hosts: ['*.example', '*.corp.example', '*.b.cdn.example'],
      isServer: true,
      ...times,
    },
  )
  return { key: own, cert, ca }
}
