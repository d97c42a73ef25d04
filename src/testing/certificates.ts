import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A self-signed certificate for these names, by openssl. */
export function selfSigned(...names: string[]): { readonly cert: string; readonly key: string } {
  const told = execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', `/CN=${names[0]}`, '-addext', `subjectAltName=${names.map(name => `DNS:${name}`).join()}`],
      ...['-keyout', '-', '-out', '-'],
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  )
  const at = told.indexOf('-----BEGIN CERTIFICATE')
  return { key: told.slice(0, at), cert: told.slice(at) }
}

/** A folder of certificates, by name as a file or folder would be called. */
export function certificatesFolder(): string {
  return mkdtempSync(join(tmpdir(), 'shadow-certificates-'))
}

/** Puts a certificate into the folder as certbot does. */
export function putCertbot(folder: string, name: string, { cert, key } = selfSigned(name)): void {
  mkdirSync(join(folder, name), { recursive: true })
  put(join(folder, name, 'fullchain.pem'), cert)
  put(join(folder, name, 'privkey.pem'), key)
}

/** Puts a certificate into the folder as two files. */
export function putPair(folder: string, name: string, { cert, key } = selfSigned(name)): void {
  put(join(folder, `${name}.crt`), cert)
  put(join(folder, `${name}.key`), key)
}

function put(file: string, text: string): void {
  writeFileSync(`${file}.tmp`, text)
  renameSync(`${file}.tmp`, file)
}
