import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export type Target = {
  readonly port: number
  readonly tls?: boolean
  /** Resume the TLS session of the last connection; otherwise each connection makes a full handshake. */
  readonly resume?: boolean
}

let session: Buffer | undefined

/** A client connection with one request at a time. It finds the end of an answer by its Content-Length, as cheaply as Node allows. */
export class Connection {
  open = true
  readonly #socket: Socket
  #answered: ((status: number) => void) | undefined
  #head: Buffer | undefined
  #status = 0
  #left = 0
  #closes = false

  constructor({ port, tls = false, resume = false }: Target) {
    const at = { host: '127.0.0.1', port }
    if (tls) {
      const resumed = resume && session !== undefined ? { session } : {}
      const secured = connectTls({ ...at, ...resumed, servername: 'localhost', rejectUnauthorized: false })
      this.#socket = secured.on('session', got => {
        session = got
      })
    } else {
      this.#socket = connect({ ...at, noDelay: true })
    }
    this.#socket.on('data', chunk => this.#read(chunk))
    this.#socket.on('error', () => this.#socket.destroy())
    this.#socket.on('close', () => {
      this.open = false
      this.#done(0)
    })
  }

  /** Sends a request. `answered` gets the status when the answer is complete, or 0 if the connection broke. */
  request(request: Buffer, answered: (status: number) => void): void {
    this.#status = 0
    this.#answered = answered
    this.#socket.write(request)
  }

  /** Resets the connection: thousands of lingering ports would slow the next connections down. */
  reset(): void {
    this.#socket.resetAndDestroy()
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  /** From now on the connection is not HTTP: all bytes go to `listener`. */
  raw(listener: (bytes: Buffer) => void): void {
    this.#socket.removeAllListeners('data').on('data', listener)
  }

  #read(chunk: Buffer): void {
    if (this.#left > 0) this.#left -= chunk.length
    else if (!this.#readHead(chunk)) return
    if (this.#left > 0) return
    if (this.#closes) {
      this.open = false
      this.#socket.destroy()
    }
    this.#done(this.#status)
  }

  #readHead(chunk: Buffer): boolean {
    const bytes = this.#head === undefined ? chunk : Buffer.concat([this.#head, chunk])
    const end = bytes.indexOf('\r\n\r\n')
    this.#head = end < 0 ? bytes : undefined
    if (end < 0) return false
    const head = bytes.toString('latin1', 0, end)
    this.#status = Number(head.slice(9, 12))
    this.#closes = /\r\nconnection: *close/i.test(head)
    this.#left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0) - (bytes.length - end - 4)
    return true
  }

  #done(status: number): void {
    const answered = this.#answered
    this.#answered = undefined
    answered?.(status)
  }
}
