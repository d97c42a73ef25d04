import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

export type Certificate = { readonly cert: string; readonly key: string }

/** Makes a self-signed certificate for the benches' hostnames in a folder (ECDSA P-256, as ACME clients request it). */
export function certificateIn(folder: string): Certificate {
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const names = 'subjectAltName=DNS:localhost,DNS:*.bench.example,IP:127.0.0.1'
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30']
  execFileSync('openssl', [...args, '-subj', '/CN=bench', '-addext', names, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  })
  return { cert, key }
}
