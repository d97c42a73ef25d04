import { SandboxCommand, type SpawnOptions } from './command.ts'
import { sentEvents } from './events.ts'
import { ShadowFailure } from './failure.ts'
import { pause } from './pause.ts'
import { Sandbox } from './sandbox.ts'
import type { SocketClass } from './socket.ts'
import type { Connected, ConnectRequest, SessionStatus, SessionView } from './types.ts'

export type ClientOptions = {
  /** The URL of a master, such as `https://master.example.com:8080`. */
  readonly url: string
  /** A token of the role admin, or owner of the template. It never belongs in a page: a page gets what `connect` answers from a server. */
  readonly token: string
  /** Left out: the one of the platform. */
  readonly fetch?: typeof fetch
  /** For commands in sandboxes; left out: the one of the platform. */
  readonly WebSocket?: SocketClass
  /** How often a stream that was lost is opened again before it fails. Default: 10. */
  readonly reconnects?: number
}
type Sent = {
  readonly body?: unknown
  readonly query?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5_000

/** Calls the sessions API of masters. Every method fails with a `ShadowFailure`. */
export class ShadowClient {
  readonly #url: string
  readonly #token: string
  readonly #fetch: typeof fetch
  readonly #WebSocket: SocketClass | undefined
  readonly #reconnects: number

  constructor({ url, token, fetch: own, WebSocket: socket, reconnects = 10 }: ClientOptions) {
    this.#url = url.replace(/\/+$/, '')
    this.#token = token
    // A browser's fetch wants to be called as a function of the window.
    this.#fetch = own ?? ((...args) => fetch(...args))
    this.#WebSocket = socket ?? globalThis.WebSocket
    this.#reconnects = reconnects
  }

  /** The session with the key, or a new one, with a URL and a token for one visitor. */
  connect(request: ConnectRequest, signal?: AbortSignal): Promise<Connected> {
    return this.#json('POST', '/v1/connect', { body: request, ...(signal && { signal }) })
  }

  /** The session with the key, or a new one, with commands and files. */
  async createSandbox(request: ConnectRequest, signal?: AbortSignal): Promise<Sandbox> {
    return new Sandbox(await this.connect(request, signal), this.#sandboxCalls)
  }

  /** A session that lives, with commands and files. Its `url` has a token only if it is given what `connect` has answered. */
  async sandbox(session: string | Connected): Promise<Sandbox> {
    return new Sandbox(typeof session === 'string' ? await this.get(session) : session, this.#sandboxCalls)
  }

  /** The session, also after its end. */
  get(session: string): Promise<SessionView> {
    return this.#json('GET', `/v1/sessions/${encodeURIComponent(session)}`)
  }

  /** Ends the session; resolves when it has ended. `soft`: by SIGTERM and with its grace; `hard`: at once. */
  end(session: string, kind: 'soft' | 'hard' = 'soft'): Promise<SessionView> {
    return this.#json('DELETE', `/v1/sessions/${encodeURIComponent(session)}`, { query: { kind } })
  }

  /** The sessions that live, by name. */
  async *list(template?: string): AsyncGenerator<SessionView> {
    let after: string | null | undefined
    do {
      const query = { ...(template !== undefined && { template }), ...(after && { after }) }
      const page: { items: SessionView[]; next: string | null } = await this.#json('GET', '/v1/sessions', { query })
      yield* page.items
      after = page.next
    } while (after !== null)
  }

  /** Revokes the tokens of a user, or of all: of one session, or of all sessions of a template. Returns how many. */
  async revoke(sessionOrTemplate: string, user?: string): Promise<number> {
    const path = `/v1/apps/${encodeURIComponent(sessionOrTemplate)}/revoke-tokens`
    const { revoked } = await this.#json<{ revoked: number }>('POST', path, {
      body: user === undefined ? {} : { user },
    })
    return revoked
  }

  /** The states of a session, from its first one on, each once, until it has ended. A connection that is lost is opened again. */
  async *status(session: string, signal?: AbortSignal): AsyncGenerator<SessionStatus> {
    let lastId: string | undefined
    for (let lost = 0; ; ) {
      try {
        const path = `/v1/sessions/${encodeURIComponent(session)}/status`
        const headers = lastId === undefined ? {} : { 'last-event-id': lastId }
        const { body } = await this.#send('GET', path, { ...(signal && { signal }) }, headers)
        if (body === null) return
        for await (const { id, data } of sentEvents(body)) {
          lost = 0
          lastId = id
          const status = JSON.parse(data) as SessionStatus
          yield status
          if (status.state === 'ended') return
        }
      } catch (error) {
        if (signal?.aborted || !mayTryAgain(error)) throw error
        if (lost >= this.#reconnects) throw error
      }
      // The stream has ended before the session has: its master was stopped.
      await pause(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** lost++), signal)
    }
  }

  readonly #sandboxCalls = {
    start: (session: string, command: readonly string[], options: SpawnOptions) =>
      this.#start(session, command, options),
    get: (session: string) => this.get(session),
    end: (session: string, kind: 'soft' | 'hard') => this.end(session, kind),
    pause: async (session: string, isPaused: boolean) => {
      const path = `/v1/apps/${encodeURIComponent(session)}/pause`
      await this.#send(isPaused ? 'PUT' : 'DELETE', path, isPaused ? { body: {} } : {})
    },
  }

  #start(session: string, command: readonly string[], options: SpawnOptions): Promise<SandboxCommand> {
    const own = this.#WebSocket
    if (own === undefined) {
      const detail = 'this platform has no WebSocket: give one to the client (Node has it from 22 on)'
      throw new ShadowFailure(0, { code: 'bad-input', detail })
    }
    const path = `/v1/apps/${encodeURIComponent(session)}/exec`
    // Asked without an Upgrade, the call says why it is refused, or that it wants one.
    const refusal = async (): Promise<void> => {
      await this.#send('GET', path, {}).catch((error: unknown) => {
        if (!(error instanceof ShadowFailure) || error.code !== 'bad-input') throw error
      })
    }
    const url = `${this.#url.replace(/^http/, 'ws')}${path}`
    return SandboxCommand.start({ ...options, url, token: this.#token, command, WebSocket: own, refusal })
  }

  async #json<T>(method: string, path: string, sent: Sent = {}): Promise<T> {
    const response = await this.#send(method, path, sent)
    return (await response.json()) as T
  }

  async #send(
    method: string,
    path: string,
    sent: Sent,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const { body, query = {}, signal } = sent
    const search = new URLSearchParams(query).toString()
    const headers = {
      authorization: `Bearer ${this.#token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...more,
    }
    const response = await this.#fetch(`${this.#url}${path}${search === '' ? '' : `?${search}`}`, {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    }).catch((cause: unknown) => {
      if (signal?.aborted) throw signal.reason
      throw new ShadowFailure(0, { code: 'unreachable', detail: `no answer from ${this.#url}` }, { cause })
    })
    if (!response.ok) throw await ShadowFailure.of(response)
    return response
  }
}

/** A refusal stands; a connection that was lost, or a master that is not well, may come back. */
const mayTryAgain = (error: unknown): boolean =>
  !(error instanceof ShadowFailure) || error.status === 0 || error.status >= 500
