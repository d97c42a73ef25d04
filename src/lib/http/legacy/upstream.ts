import { Agent, type AgentOptions, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { createConnection, type NetConnectOpts, type Socket } from 'node:net'
import type { Clock } from '../../clock.ts'
import { ShadowError } from '../../errors.ts'
import type { Counters } from '../counters.ts'
import { endpoint } from '../endpoint.ts'
import { FULL, type Sockets } from '../guard/socket-budget.ts'
import { type Stage, UpstreamError } from '../upstream-target.ts'
import { Head, WHOLE } from '../wire/head.ts'
import { parseResponse } from '../wire/parse.ts'
import type { RequestHead } from './heads.ts'

/** What an upstream answers: a response, or the socket of a protocol switched to. */
export type Reply = {
  readonly message: IncomingMessage
  readonly switched?: { readonly socket: Socket; readonly head: Buffer } | undefined
}

export type Attempt = {
  readonly upstream: ClientRequest
  /** Rejects with `UpstreamError`. */
  readonly reply: Promise<Reply>
}

type Dial = {
  readonly address: string
  /** What is behind the address. */
  readonly name: string
  readonly head: RequestHead
  readonly fresh: boolean
  /** Whether the upstream may have begun to work on it, by now. */
  readonly mayHaveBegun: () => boolean
  readonly bodySent: () => boolean
}

/** An app that closes idle connections without saying when (many do after 2 to 5 s) must not be met just then. */
const IDLE_MS = 1_500
const KEEPALIVE_PROBE_AFTER_MS = 30_000
const CONNECTION = { noDelay: true, keepAliveInitialDelay: KEEPALIVE_PROBE_AFTER_MS } as const

/** Connections to upstreams, kept alive between requests, a pool for each address. */
export class Upstreams implements Disposable {
  readonly #pools = new Map<string, Agent>()
  readonly #fresh: Agent
  readonly #clock: Clock
  readonly #connectWithinMs: number
  readonly #counters: Counters
  readonly #sockets: Sockets

  constructor(options: { clock: Clock; connectWithinMs: number; counters: Counters; sockets: Sockets }) {
    this.#sockets = options.sockets
    this.#fresh = agent({ keepAlive: false }, options.sockets)
    this.#clock = options.clock
    this.#connectWithinMs = options.connectWithinMs
    this.#counters = options.counters
  }

  /** Sends the head; the caller sends the body, and ends it. */
  send({ address, name, head, fresh, mayHaveBegun, bodySent }: Dial): Attempt {
    const { host, port } = endpoint(address)
    const switches = head.upgrade !== undefined
    const upstream = httpRequest({
      host,
      port,
      method: head.method,
      path: head.path,
      headers: head.headers,
      maxHeaderSize: 32_768,
      insecureHTTPParser: false,
      // What is switched to may close one half alone; a pooled connection must not, it would never be found closed.
      ...(!switches && { agent: fresh ? this.#fresh : this.#pool(name) }),
      ...(switches && {
        createConnection: () =>
          counted(this.#sockets, { ...CONNECTION, host, port, keepAlive: true, allowHalfOpen: true }),
      }),
    })
    upstream.maxHeadersCount = 0
    const reply = new Promise<Reply>((resolve, reject) => {
      let stage: Stage = 'connect'
      const lost = (cause: unknown): void => {
        if (cause instanceof ShadowError) {
          reject(cause)
          return
        }
        const at = stage === 'send' && bodySent() ? 'head' : stage
        const sent = stage !== 'connect' && mayHaveBegun()
        const fault = faultOfAnswer(cause as ParserError)
        reject(
          fault === undefined
            ? UpstreamError.lost(address, at, sent, cause as Error)
            : UpstreamError.refused(address, at, fault, cause),
        )
      }
      upstream
        .on('socket', socket => {
          const connected = (): void => {
            stage = 'send'
          }
          if (upstream.reusedSocket) this.#counters.upstreamReuses += 1
          else this.#counters.upstreamConnects += 1
          if (!socket.connecting) return connected()
          const late = this.#clock.after(this.#connectWithinMs, () => {
            this.#counters.lateConnects += 1
            upstream.destroy(new Error(`no connection within ${this.#connectWithinMs} ms`))
          })
          socket.once('connect', connected)
          for (const event of ['connect', 'close'] as const) socket.once(event, () => late[Symbol.dispose]())
        })
        .on('response', message => resolve({ message }))
        .on('error', lost)
        .on('close', () => lost(new Error('the connection was closed')))
      if (switches)
        upstream.on('upgrade', (message, socket, first) =>
          resolve({ message, switched: { socket: socket as Socket, head: first } }),
        )
      if (head.hasBody) upstream.flushHeaders()
    })
    return { upstream, reply }
  }

  /** Closes the connections to the upstream. */
  forget(name: string): void {
    this.#pools.get(name)?.destroy()
    this.#pools.delete(name)
  }

  [Symbol.dispose](): void {
    for (const name of [...this.#pools.keys()]) this.forget(name)
    this.#fresh.destroy()
  }

  #pool(name: string): Agent {
    let pool = this.#pools.get(name)
    if (pool === undefined) {
      pool = agent({ keepAlive: true, timeout: IDLE_MS, scheduling: 'lifo', maxFreeSockets: 256 }, this.#sockets)
      this.#pools.set(name, pool)
    }
    return pool
  }
}

/** What node:http says of an answer that it cannot parse. */
type ParserError = Error & { readonly code?: string; readonly rawPacket?: Buffer }

/** What is wrong with an answer that node:http refused, in the words of our own parser where that sees it too; undefined: it was not refused. */
function faultOfAnswer({ code, message, rawPacket }: ParserError): string | undefined {
  if (code?.startsWith('HPE_') !== true) return undefined
  const head = new Head()
  const refused = rawPacket !== undefined && parseResponse(head, rawPacket, 0, rawPacket.length) > WHOLE
  return refused ? head.fault : message
}

function agent(options: AgentOptions, sockets: Sockets): Agent {
  const made = new Agent({ ...CONNECTION, ...options })
  made.createConnection = (to: NetConnectOpts) => readingOn(counted(sockets, to))
  return made
}

/** Opens a connection that counts for the budget; throws `connections-full` where that has no room. */
function counted(sockets: Sockets, to: NetConnectOpts): Socket {
  if (!sockets.take()) throw FULL
  const socket = createConnection(to)
  socket.once('close', () => sockets.give())
  return socket
}

/**
 * Lets the socket read on when a write to it fails: an upstream that answers in the middle of an upload and closes is heard. Node
 * would throw what was not read yet away with the socket. What ends it is the end of reading, which is due at once then.
 */
function readingOn(socket: Socket): Socket {
  const { _write, _writev } = socket
  const lost = (): void => {
    socket.once('end', () => socket.destroy())
    if (socket.readableEnded) socket.destroy()
  }
  type Done = (error?: Error | null) => void
  const unlessLost =
    (done: Done): Done =>
    error =>
      error ? lost() : done()
  socket._write = (chunk, encoding, done) => _write.call(socket, chunk, encoding, unlessLost(done))
  socket._writev = (chunks, done) => _writev?.call(socket, chunks, unlessLost(done))
  return socket
}
