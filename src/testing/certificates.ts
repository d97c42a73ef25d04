import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { temporaryFolder } from './folders.ts'

/** A self-signed certificate for these names, by openssl. */
export const selfSigned = (...names: string[]) => signed(['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'], names)

/** The same with an RSA key, which TLS 1.2 may use without forward secrecy. */
export const selfSignedRsa = (...names: string[]) => signed(['rsa:2048'], names)

function signed(key: readonly string[], names: readonly string[]): { readonly cert: string; readonly key: string } {
  const pem = execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', ...key, '-nodes', '-days', '2'],
      ...['-subj', `/CN=${names[0]}`, '-addext', `subjectAltName=${names.map(name => `DNS:${name}`).join()}`],
      ...['-keyout', '-', '-out', '-'],
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  )
  const at = pem.indexOf('-----BEGIN CERTIFICATE')
  return { key: pem.slice(0, at), cert: pem.slice(at) }
}

/** A self-signed certificate that is valid between two times, in milliseconds since the epoch. */
export function validBetween(
  from: number,
  to: number,
  ...names: string[]
): { readonly cert: string; readonly key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'shadow-certificates-'))
  try {
    const { key } = selfSigned(...names)
    const at = (name: string): string => join(folder, name)
    writeFileSync(at('key'), key)
    writeFileSync(at('index'), '')
    const extensions = `subjectAltName=${names.map(name => `DNS:${name}`).join()}`
    const database = `database=${at('index')}\nserial=${at('serial')}\nnew_certs_dir=${folder}\ndefault_md=sha256\npolicy=any`
    writeFileSync(
      at('config'),
      `[ca]\ndefault_ca=own\n[own]\n${database}\n[any]\ncommonName=supplied\n[names]\n${extensions}\n`,
    )
    const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] })
    openssl('req', '-new', '-key', at('key'), '-subj', `/CN=${names[0]}`, '-out', at('request'))
    const time = (ms: number): string => `${new Date(ms).toISOString().replace(/[-:T]|\.\d+Z/g, '')}Z`
    openssl(
      ...['ca', '-batch', '-notext', '-create_serial', '-selfsign', '-config', at('config'), '-extensions', 'names'],
      ...['-keyfile', at('key'), '-in', at('request'), '-out', at('cert')],
      ...['-startdate', time(from), '-enddate', time(to)],
    )
    return { cert: readFileSync(at('cert'), 'utf8'), key }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A folder for certificates. */
export function certificatesFolder(): string {
  return temporaryFolder('shadow-certificates-')
}

/** Adds a certificate to the folder in the layout of certbot. */
export function putCertbot(folder: string, name: string, { cert, key } = selfSigned(name)): void {
  mkdirSync(join(folder, name), { recursive: true })
  put(join(folder, name, 'fullchain.pem'), cert)
  put(join(folder, name, 'privkey.pem'), key)
}

/** Adds a certificate to the folder as two files. */
export function putPair(folder: string, name: string, { cert, key } = selfSigned(name)): void {
  put(join(folder, `${name}.crt`), cert)
  put(join(folder, `${name}.key`), key)
}

function put(file: string, text: string): void {
  writeFileSync(`${file}.tmp`, text)
  renameSync(`${file}.tmp`, file)
}
