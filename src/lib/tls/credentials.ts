import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'

/** What one side of mutual TLS goes by, all PEM: the authority that it trusts and, unless it only connects, its own certificate and key. */
export type Credential = {
  readonly ca: string
  readonly certificate?: string | undefined
  readonly key?: string | undefined
}

/** How a connection to a server of ours is secured. */
export type ClientTls = {
  /** The name that the server's certificate must have. */
  readonly servername: string
  readonly credentials: Credentials
}

/** How a connection to any server is secured: the name that its certificate must have, and whom to trust. */
export type ServerTls = { readonly servername: string; readonly credentials: Pick<Credentials, 'context'> }

/**
 * The credential of a process. It is replaced while connections are open: these go on as they are, new ones use the new credential.
 * No session is resumed: a resumed one would not be checked against the authority and the time again.
 */
export class Credentials {
  #current: Credential
  #context: SecureContext | undefined
  readonly #onNew = new Set<(credential: Credential) => void>()

  constructor(current: Credential) {
    this.#current = current
  }

  get current(): Credential {
    return this.#current
  }

  /** The credential, loaded into OpenSSL. */
  get context(): SecureContext {
    this.#context ??= createSecureContext(optionsOf(this.#current))
    return this.#context
  }

  /** Uses this credential from now on. */
  replace(next: Credential): void {
    this.#context = createSecureContext(optionsOf(next)) // throws before anything is changed if it is not well formed
    this.#current = next
    for (const then of this.#onNew) then(next)
  }

  /** Calls back with each new credential, until the result is disposed. */
  onNew(then: (credential: Credential) => void): Disposable {
    this.#onNew.add(then)
    return { [Symbol.dispose]: () => void this.#onNew.delete(then) }
  }
}

/** The options of node:tls for a credential. Both sides are of our own version, so only TLS 1.3 is spoken. */
export const optionsOf = ({ ca, certificate, key }: Credential) =>
  ({ ca, cert: certificate, key, minVersion: 'TLSv1.3', secureOptions: constants.SSL_OP_NO_TICKET }) as const
