import { forwardedOf } from '../wire/forwarded.ts'
import { viaOf } from '../wire/via.ts'

type Version = '1.0' | '1.1' | '2'

/** What upstreams are told about a client. */
export class ClientOrigin {
  readonly address: string
  readonly proto: 'http' | 'https'
  /** The version of HTTP that the client speaks. */
  readonly version: Version
  readonly via: string
  #host = Buffer.alloc(0)
  #hostText = ''
  #lines = Buffer.alloc(0)
  /** The host of the lines that were made last. */
  #linesOf: string | undefined

  constructor(address: string, proto: 'http' | 'https', version: Version) {
    this.address = address
    this.proto = proto
    this.version = version
    this.via = `Via: ${viaOf(version)}\r\n`
  }

  /** The host as text. It is kept for the next call, since a client mostly requests the same host again. */
  hostOf(bytes: Buffer, from: number, to: number): string {
    if (!same(this.#host, bytes, from, to)) {
      this.#host = Buffer.from(bytes.subarray(from, to))
      this.#hostText = this.#host.toString('latin1')
    }
    return this.#hostText
  }

  /** The header lines about the client. They are kept for the next request to the same host. */
  lines(bytes: Buffer, from: number, to: number): Buffer {
    const { address, proto } = this
    const host = this.hostOf(bytes, from, to)
    if (host !== this.#linesOf) {
      this.#linesOf = host
      const named = host === '' ? undefined : host // a request of HTTP/1.0 may have none
      this.#lines = Buffer.from(
        `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: ${proto}\r\n` +
          (named === undefined ? '' : `X-Forwarded-Host: ${named}\r\n`) +
          `Forwarded: ${forwardedOf({ address, proto, host: named })}\r\n${this.via}`,
        'latin1',
      )
    }
    return this.#lines
  }
}

function same(known: Buffer, bytes: Buffer, from: number, to: number): boolean {
  if (known.length !== to - from) return false
  for (let at = from; at < to; at += 1) if (known[at - from] !== bytes[at]) return false
  return true
}
