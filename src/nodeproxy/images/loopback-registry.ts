import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { asShadowError, type ShadowError } from '../../lib/errors.ts'
import { listen, requestListener } from '../../lib/http/api/request-handler.ts'
import type { Listening } from '../../lib/http/listening.ts'
import type { Log } from '../../lib/log.ts'

/** Answers the requests of one pull or push; what it throws is told to Docker, and kept as the failure. */
export type Answers = (request: IncomingMessage, response: ServerResponse, signal: AbortSignal) => Promise<void>

/** What Docker may do here until this is disposed. */
export type Admitted = Disposable & {
  /** `127.0.0.1:PORT` */
  readonly address: string
  readonly credentials: { readonly serveraddress: string; readonly username: string; readonly password: string }
  /** Why the master did not do a part of it, if it did not. */
  readonly failure: ShadowError | undefined
}

type Ticket = { readonly answer: Answers; failure?: ShadowError }

/** Docker opens three connections for each pull, and five for each push. */
const MOST_CONNECTIONS = 256

/**
 * A registry on a loopback address, which hands on to a master: Docker knows neither the certificate of this node nor the cluster's CA. Each
 * pull and push has a password of its own, which is good while it runs. So other users of this machine read and write nothing here.
 */
export class LoopbackRegistry {
  readonly #log: Log
  readonly #tickets = new Map<string, Ticket>()
  #listening: Promise<Listening> | undefined

  constructor({ log }: { readonly log: Log }) {
    this.#log = log
  }

  async admit(answer: Answers): Promise<Admitted> {
    // A port that could not be opened is tried again by the next one.
    this.#listening ??= this.#listen().catch(error => {
      this.#listening = undefined
      throw error
    })
    const { address } = await this.#listening
    const password = randomBytes(32).toString('base64url')
    const ticket: Ticket = { answer }
    this.#tickets.set(password, ticket)
    return {
      address,
      credentials: { serveraddress: address, username: 'node', password },
      get failure() {
        return ticket.failure
      },
      [Symbol.dispose]: () => this.#tickets.delete(password),
    }
  }

  async close(): Promise<void> {
    await (await this.#listening?.catch(() => undefined))?.[Symbol.asyncDispose]()
  }

  #listen(): Promise<Listening> {
    const handler = requestListener((...exchange) => this.#answer(...(exchange as Parameters<Answers>)), {
      log: this.#log,
    })
    const server = createServer(handler)
    server.maxConnections = MOST_CONNECTIONS
    return listen(server, { host: '127.0.0.1', port: 0 })
  }

  async #answer(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const ticket = this.#tickets.get(passwordOf(request) ?? '')
    if (ticket === undefined) {
      response.setHeader('www-authenticate', 'Basic realm="Shadow"')
      return refuse(response, 401, 'UNAUTHORIZED', 'this is for the pulls and pushes of the node alone')
    }
    if (request.url === '/v2/') return void response.writeHead(200).end()
    try {
      await ticket.answer(request, response, signal)
    } catch (thrown) {
      if (signal.aborted) throw thrown
      const error = asShadowError(thrown)
      ticket.failure = error
      if (response.headersSent) return void response.destroy() // half a layer must not look like a whole one
      // Docker tries all else again, for about a minute.
      refuse(response, error.status, error.status < 500 ? 'DENIED' : 'UNAVAILABLE', error.message)
    }
  }
}

function passwordOf({ headers: { authorization } }: IncomingMessage): string | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(authorization ?? '')?.[1]
  return encoded && Buffer.from(encoded, 'base64').toString().slice('node:'.length)
}

/** Answers with an error as registries have it. */
export function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ errors: [{ code, message }] }))
}

/** The headers of these names that are there, to hand on. */
export const picked = (headers: IncomingMessage['headers'], names: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.flatMap(name => (headers[name] === undefined ? [] : [[name, String(headers[name])]])))
