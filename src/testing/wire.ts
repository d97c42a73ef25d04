import { once } from 'node:events'
import { createServer, type Server as HttpServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect, createServer as createRawServer, type Server, type Socket } from 'node:net'
import { setImmediate as tick } from 'node:timers/promises'

export type Opened = AsyncDisposable & {
  readonly port: number
  readonly address: string
  readonly sockets: Set<Socket>
}

/** Listens on a free port of this machine, or on the wanted one. Disposing of the result cuts every connection. */
export async function open(server: Server, wanted = 0): Promise<Opened> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(wanted, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    address: `127.0.0.1:${port}`,
    sockets,
    async [Symbol.asyncDispose]() {
      const closed = new Promise(resolve => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** A node:http server with this listener. */
export const httpApp = (listener: RequestListener, prepare: (server: HttpServer) => void = () => undefined) => {
  const server = createServer(listener)
  prepare(server)
  return open(server)
}

/** A server that exchanges raw bytes. */
export const rawApp = (onConnection: (socket: Socket) => void) =>
  open(
    createRawServer({ allowHalfOpen: true }, socket => {
      socket.on('error', () => undefined)
      onConnection(socket)
    }),
  )

/** An app that keeps the heads and bodies that it received, as bytes, and gives the same answer to each head. */
export const recorder = async (answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok') => {
  const seen = { text: '' }
  const app = await rawApp(socket => {
    socket
      .setEncoding('latin1')
      .on('data', (chunk: string) => {
        seen.text += chunk
        if (chunk.includes('\r\n\r\n')) socket.write(answer, 'latin1')
      })
      .on('end', () => socket.end())
  })
  return Object.assign(app, { seen })
}

/** A client that sends raw bytes and keeps all bytes that it receives. */
export class RawClient implements Disposable {
  readonly socket: Socket
  text = ''
  ended = false
  error: Error | undefined

  constructor(port: number, send = '') {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    this.socket
      .setEncoding('latin1')
      .on('data', (chunk: string) => {
        this.text += chunk
      })
      .on('end', () => {
        this.ended = true
      })
      .on('error', error => {
        this.error = error
      })
    if (send !== '') this.send(send)
  }

  send(text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** Resolves when the received bytes match. */
  async until(pattern: string | RegExp): Promise<string> {
    await until(
      () => (typeof pattern === 'string' ? this.text.includes(pattern) : pattern.test(this.text)),
      () => this.text,
    )
    return this.text
  }

  /** Resolves when the server has ended the connection, by an end or a reset. */
  async closed(): Promise<string> {
    await until(
      () => this.ended || this.socket.closed,
      () => `still open after: ${this.text.slice(0, 500)}`,
    )
    return this.text
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }
}

/** Waits until `holds` is true, for at most 10 s; the error then shows `instead`. */
export async function until(holds: () => boolean, instead: () => string = () => ''): Promise<void> {
  const end = performance.now() + 10_000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`it never came to hold; instead: ${instead()}`)
    await tick()
  }
}
