import { connect, type Socket } from 'node:net'
import { until } from './wire.ts'

export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const
export const END_STREAM = 1
export const END_HEADERS = 4
/** The flag of SETTINGS and PING frames. */
export const ACK = 1
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

export type Frame = {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** One frame (RFC 9113, 4.1). */
export function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A header block of literals without indexing or Huffman coding (RFC 7541, 6.2.2), with any bytes. */
export function block(fields: readonly (readonly [string, string])[]): Buffer {
  const parts: Buffer[] = []
  for (const [name, value] of fields) parts.push(Buffer.from([0]), literal(name), literal(value))
  return Buffer.concat(parts)
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  const length: number[] = []
  if (bytes.length < 127) length.push(bytes.length)
  else {
    let left = bytes.length - 127
    length.push(127)
    for (; left >= 128; left = Math.floor(left / 128)) length.push((left % 128) + 128)
    length.push(left)
  }
  return Buffer.concat([Buffer.from(length), bytes])
}

export const GET: readonly (readonly [string, string])[] = [
  [':method', 'GET'],
  [':path', '/'],
  [':scheme', 'http'],
  [':authority', 'a'],
]
export const POST = [[':method', 'POST'], ...GET.slice(1)] as const as readonly (readonly [string, string])[]

/** A client that sends HTTP/2 frames, valid or not, and keeps all frames that it receives. It acknowledges settings. */
export class FrameClient implements Disposable {
  readonly socket: Socket
  readonly frames: Frame[] = []
  closed = false
  #rest = Buffer.alloc(0)

  /** Connects to a port of this machine, or uses a given connection. */
  constructor(to: number | Socket) {
    this.socket = typeof to === 'number' ? connect({ port: to, host: '127.0.0.1' }) : to
    this.socket
      .on('error', () => undefined)
      .on('close', () => {
        this.closed = true
      })
      .on('data', chunk => this.#received(chunk))
    this.socket.write(PREFACE)
    this.send(FRAME.settings, 0, 0)
  }

  send(type: number, flags: number, stream: number, payload?: Buffer): void {
    if (this.socket.writable) this.socket.write(frame(type, flags, stream, payload))
  }

  /** Sends the head of a request. The head ends the request unless `more` is set. */
  ask(stream: number, fields = GET, more = false): void {
    this.send(FRAME.headers, END_HEADERS | (more ? 0 : END_STREAM), stream, block(fields))
  }

  of(type: number, stream?: number): Frame[] {
    return this.frames.filter(one => one.type === type && (stream === undefined || one.stream === stream))
  }

  /** The code with which the stream was reset. */
  resetOf(stream: number): number | undefined {
    return this.of(FRAME.reset, stream)[0]?.payload.readUInt32BE(0)
  }

  /** The code with which the connection was ended. */
  get goneWith(): number | undefined {
    return this.of(FRAME.goaway).at(-1)?.payload.readUInt32BE(4)
  }

  endOf(stream: number): boolean {
    return this.frames.some(one => one.stream === stream && one.type <= 1 && (one.flags & END_STREAM) !== 0)
  }

  /** The content of the DATA frames. */
  text(stream: number): string {
    return Buffer.concat(this.of(FRAME.data, stream).map(({ payload }) => payload)).toString('latin1')
  }

  /** Waits until `holds` is true for the received frames. */
  async until(holds: () => boolean): Promise<void> {
    await until(holds, () =>
      this.frames.map(({ type, flags, stream, payload }) => `${type}/${flags}/${stream}/${payload.length}`).join(' '),
    )
  }

  #received(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3)
      if (this.#rest.length < 9 + length) return
      const [type, flags, stream] = [this.#rest[3] ?? 0, this.#rest[4] ?? 0, this.#rest.readUInt32BE(5) & 0x7fffffff]
      const payload = Buffer.from(this.#rest.subarray(9, 9 + length))
      this.#rest = this.#rest.subarray(9 + length)
      this.frames.push({ type, flags, stream, payload })
      if (type === FRAME.settings && (flags & ACK) === 0) this.send(FRAME.settings, ACK, 0)
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }
}
