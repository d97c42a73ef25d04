import { Agent } from 'node:https'
import type { ClientTls } from './credentials.ts'

/**
 * The connections of an API's client to a server of ours, kept between calls. With a new credential new connections are opened; those
 * with the one before end when their call does.
 */
export class MutualAgent {
  readonly #tls: ClientTls
  #agent: Agent

  constructor(tls: ClientTls) {
    this.#tls = tls
    this.#agent = this.#open()
    tls.credentials.onNew(() => this.#renew())
  }

  get current(): Agent {
    return this.#agent
  }

  #open(): Agent {
    const { servername, credentials } = this.#tls
    // No session is kept: see `Credentials`.
    return new Agent({ keepAlive: true, servername, secureContext: credentials.context, maxCachedSessions: 0 })
  }

  #renew(): void {
    const before = this.#agent
    this.#agent = this.#open()
    before.maxFreeSockets = 0
    for (const sockets of Object.values(before.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }
}
