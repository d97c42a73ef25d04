import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'

/** The ports for plain HTTP and for TLS, and the hostname. */
export type Site = { readonly port: number; readonly tls: number; readonly hostname: string }

/** `as it should`, or what went wrong. */
export type Outcome = string
export type Visit = (site: Site) => Promise<Outcome>

export const GOOD = 'as it should'
export const MEGABYTE = 1_048_576
const PATIENCE_MS = 20_000

export function get({ hostname }: Site, path: string, header = 'Accept: */*'): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\n${header}\r\n\r\n`
}

export function post({ hostname }: Site, path: string, header: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: ${hostname}\r\n${header}\r\n\r\n`
}

/** A visitor's connection. */
export class RawConnection implements Disposable {
  readonly socket: Socket
  text = ''
  /** What it waited for in vain. */
  fault: string | undefined
  readonly #closed: Promise<void>
  #look: () => void = () => {}

  constructor({ port, tls, hostname }: Site, protocol: 'plain' | 'tls' = 'plain') {
    const at = { host: '127.0.0.1', noDelay: true, allowHalfOpen: true }
    this.socket =
      protocol === 'plain'
        ? connect({ ...at, port })
        : connectTls({ ...at, port: tls, servername: hostname, rejectUnauthorized: false })
    this.socket.setEncoding('latin1').on('data', (chunk: string) => {
      this.text += chunk
      this.#look()
    })
    this.socket.on('end', () => this.socket.end()).on('error', () => {})
    this.#closed = new Promise(resolve => this.socket.on('close', () => resolve()))
  }

  /** The number of bytes of the answer's body; the head is ASCII. */
  get body(): number {
    return this.text.length - this.text.indexOf('\r\n\r\n') - 4
  }

  send(text: string): void {
    this.socket.write(text, 'latin1')
  }

  /** Writes, and waits until the socket has taken the text. */
  async write(text: string): Promise<void> {
    if (!this.socket.write(text, 'latin1'))
      await this.#within(new Promise(resolve => this.socket.once('drain', resolve)))
  }

  async until(heard: (text: string) => boolean): Promise<void> {
    if (this.fault !== undefined || heard(this.text)) return
    const found = new Promise<void>(resolve => {
      this.#look = () => heard(this.text) && resolve()
    })
    await this.#within(Promise.race([found, this.#closed]))
    if (!heard(this.text)) this.fault ??= `closed after ${JSON.stringify(this.text.slice(-80))}`
  }

  closed(): Promise<void> {
    return this.#within(this.#closed)
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }

  async #within(done: Promise<unknown>): Promise<void> {
    const late = new AbortController()
    const waited = sleep(PATIENCE_MS, 'late', { signal: late.signal }).catch(() => undefined)
    if ((await Promise.race([done, this.#closed, waited])) === 'late') this.fault ??= `nothing for ${PATIENCE_MS} ms`
    late.abort()
  }
}
