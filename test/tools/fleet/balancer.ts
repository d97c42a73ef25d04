import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

const LOOKS_EVERY_MS = 500
const ANSWERS_WITHIN_MS = 1_000

/**
 * A balancer of TCP connections for several servers that speak TLS, as clouds have them. It takes a server out of service when that server
 * does not answer its health checks, and cuts the connections to it. If none answers, it tries all of them.
 */
export class Balancer implements AsyncDisposable {
  readonly #server: Server
  readonly #to: readonly string[]
  readonly #port: number
  readonly #silent = new Set<string>()
  readonly #open = new Map<Socket, string>()
  readonly #stopped = new AbortController()
  #turn = 0

  private constructor(server: Server, to: readonly string[], port: number) {
    this.#server = server
    this.#to = to
    this.#port = port
  }

  /** Listens on the address and port; the servers have the same port. */
  static async listen(address: string, port: number, to: readonly string[]): Promise<Balancer> {
    const server = createServer()
    const balancer = new Balancer(server, to, port)
    server.on('connection', socket => balancer.#serve(socket))
    await once(server.listen(port, address), 'listening')
    for (const address of to) void balancer.#watch(address)
    return balancer
  }

  /** Whether no new connection goes to the server. */
  isOut(host: string): boolean {
    return this.#silent.has(host)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort()
    this.#server.close()
    for (const socket of this.#open.keys()) socket.destroy()
    await once(this.#server, 'close')
  }

  #serve(socket: Socket): void {
    const well = this.#to.filter(address => !this.#silent.has(address))
    const choice = well.length > 0 ? well : this.#to
    const host = choice[this.#turn++ % choice.length] ?? ''
    const upstream = connect({ host, port: this.#port })
    this.#open.set(socket, host)
    const end = (): void => {
      this.#open.delete(socket)
      socket.destroy()
      upstream.destroy()
    }
    for (const one of [socket, upstream]) one.setNoDelay().on('error', end).on('close', end)
    socket.pipe(upstream).pipe(socket)
  }

  async #watch(host: string): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      if (await answers(host, this.#port)) this.#silent.delete(host)
      else if (!signal.aborted) {
        this.#silent.add(host)
        for (const [socket, to] of this.#open) if (to === host) socket.destroy()
      }
      await new Promise(resolve => setTimeout(resolve, LOOKS_EVERY_MS))
    }
  }
}

/** Whether the server answers anything: one whose store is away says so, and is in service. */
function answers(host: string, port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connectTls({ host, port, rejectUnauthorized: false })
  const late = setTimeout(() => resolve(false), ANSWERS_WITHIN_MS)
  socket.on('error', () => resolve(false)).on('data', () => resolve(true))
  socket.write('GET /v1/cluster HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n')
  return promise.finally(() => {
    clearTimeout(late)
    socket.destroy()
  })
}
