import { readIfThere, writeWhole } from '../lib/files.ts'
import { Peers } from '../lib/http/tls/mutual.ts'
import type { Log } from '../lib/log.ts'
import { type Credential, Credentials } from '../lib/tls/credentials.ts'
import { peerOf } from '../model/member.ts'

/** What a thread of a node in a cluster goes by: its credential, and the ids of fronts that may not connect any more. */
export type NodeTrust = { readonly credential: Credential; readonly revoked: readonly string[] }

/** The methods by which the main thread tells a worker of a new credential or a revoked front. */
export type TrustMethods = { trust(now: NodeTrust): void }

/** Who may connect to the node: masters, and fronts that are not revoked. */
const nodePeers = (): Peers =>
  new Peers(({ subjectAltName }) => {
    const peer = peerOf(subjectAltName)
    if (peer?.role === 'master') return 'master'
    return peer?.role === 'proxy' ? peer.id : undefined
  })

/** The trust of one thread, which others change. */
export class Trust {
  readonly credentials: Credentials
  readonly peers = nodePeers()
  #revoked: readonly string[]
  readonly #onChange: ((now: NodeTrust) => void)[] = []

  constructor({ credential, revoked }: NodeTrust, credentials = new Credentials(credential)) {
    this.credentials = credentials
    this.#revoked = revoked
    this.peers.refuse(revoked)
    credentials.onNew(() => this.#changed())
  }

  get now(): NodeTrust {
    return { credential: this.credentials.current, revoked: this.#revoked }
  }

  /** Calls back with each change, and now and then without one: a worker that was just starting has missed a change. */
  onChange(then: (now: NodeTrust) => void): void {
    this.#onChange.push(then)
  }

  /** The fronts with these ids may not connect any more. */
  revoke(ids: readonly string[]): void {
    this.#revoked = ids
    this.peers.refuse(ids)
    this.#changed()
  }

  /** Takes over what another thread has. */
  take({ credential, revoked }: NodeTrust): void {
    if (credential.certificate !== this.credentials.current.certificate) this.credentials.replace(credential)
    if (revoked.join() !== this.#revoked.join()) this.revoke(revoked)
  }

  #changed(): void {
    for (const then of this.#onChange) then(this.now)
  }
}

/** The ids in the file, which the last run has kept; none if it cannot be read. */
export async function keptRevoked(file: string): Promise<readonly string[]> {
  return ((await readIfThere(file)) ?? '').split('\n').filter(id => id !== '')
}

/** Keeps the ids in the file, so that a restart without a master does not admit them. */
export async function keepRevoked(file: string, ids: readonly string[], log: Log): Promise<void> {
  await writeWhole(file, ids.map(id => `${id}\n`).join('')).catch(cause =>
    log.warn('revoked fronts not kept', { cause }),
  )
}
