import { X509Certificate } from 'node:crypto'
import { chmod } from 'node:fs/promises'
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls'
import type { Clock } from '../../lib/clock.ts'
import { makeFolder, readIfThere, writeWhole } from '../../lib/files.ts'
import { tlsTerms } from '../../lib/http/tls/certificate.ts'
import { readPrivate } from '../../lib/private-file.ts'
import {
  type Authority,
  authorityCertificate,
  certificateRequest,
  newPrivateKey,
  signCertificate,
} from '../../lib/tls/x509.ts'
import type { Hostname } from '../../model/hostname.ts'
import { BUNDLE_FILE, CA_FILE } from '../runtime/wire-mount.ts'

const DAY_MS = 86_400_000
const AUTHORITY_DAYS = 3_650
const LEAF_DAYS = 7
/** A certificate is made anew a day after it was made, so that clocks that differ do no harm. */
const LEAF_KEPT_MS = DAY_MS
const MOST_LEAVES = 500

type Leaf = { readonly until: number; readonly context: Promise<SecureContext> }

/**
 * The authority of this node that signs certificates for the hosts of credentials, so that the node can end the TLS of its apps to these
 * hosts. Only containers of apps with credentials trust it. Its key never leaves the node.
 */
export class WireAuthority {
  readonly #folder: string
  readonly #clock: Clock
  readonly #leaves = new Map<Hostname, Leaf>()
  #opened: Promise<Authority> | undefined

  constructor(folder: string, clock: Clock) {
    this.#folder = folder
    this.#clock = clock
  }

  /** The folder with the certificates that containers trust; made if it does not exist. */
  async folder(): Promise<string> {
    await this.#open()
    return this.#public
  }

  /** What a server shows as this host. */
  contextFor(host: Hostname): Promise<SecureContext> {
    const now = this.#clock.now()
    const known = this.#leaves.get(host)
    if (known !== undefined && known.until > now) return known.context
    const context = this.#sign(host)
    if (this.#leaves.size >= MOST_LEAVES) this.#leaves.clear()
    this.#leaves.set(host, { until: now + LEAF_KEPT_MS, context })
    context.catch(() => {
      if (this.#leaves.get(host)?.context === context) this.#leaves.delete(host)
    })
    return context
  }

  get #public(): string {
    return `${this.#folder}/public`
  }

  async #sign(host: Hostname): Promise<SecureContext> {
    const authority = await this.#open()
    const key = newPrivateKey()
    const at = this.#clock.wall()
    const certificate = await signCertificate(authority, {
      request: await certificateRequest(key),
      name: 'shadow-egress',
      hosts: [host],
      isServer: true,
      from: at - DAY_MS,
      until: at + LEAF_DAYS * DAY_MS,
    })
    return createSecureContext({ ...tlsTerms, cert: `${certificate}\n${authority.certificate}`, key })
  }

  #open(): Promise<Authority> {
    this.#opened ??= this.#read().catch(error => {
      this.#opened = undefined
      throw error
    })
    return this.#opened
  }

  async #read(): Promise<Authority> {
    const keyFile = `${this.#folder}/ca-key.pem`
    const key = await readPrivate(keyFile)
    const kept = (await readIfThere(`${this.#public}/${CA_FILE}`))?.trim()
    const at = this.#clock.wall()
    const isGood =
      key !== undefined && kept !== undefined && Date.parse(new X509Certificate(kept).validTo) - at > 30 * DAY_MS
    const authority = isGood ? { key, certificate: kept } : await this.#make(keyFile)
    // Users of containers have to read what is in it.
    await makeFolder(this.#public)
    await chmod(this.#public, 0o755)
    for (const [name, text] of [
      [CA_FILE, authority.certificate],
      [BUNDLE_FILE, [...rootCertificates, authority.certificate].join('\n')],
    ] as const) {
      const file = `${this.#public}/${name}`
      if ((await readIfThere(file)) !== `${text}\n`) await writeWhole(file, `${text}\n`)
      await chmod(file, 0o644)
    }
    return authority
  }

  async #make(keyFile: string): Promise<Authority> {
    const key = newPrivateKey()
    const at = this.#clock.wall()
    const certificate = await authorityCertificate({
      name: 'Shadow egress of this node',
      key,
      from: at - DAY_MS,
      until: at + AUTHORITY_DAYS * DAY_MS,
    })
    await writeWhole(keyFile, `${key}\n`)
    return { key, certificate: certificate.trim() }
  }
}
