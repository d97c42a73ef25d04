import { CR, copy, LF } from '../wire/bytes.ts'
import type { SocketWriter } from './socket-writer.ts'

const SHARED_BYTES = 32_768
// A large buffer carries a long body in few calls. With many bodies at the same time, memory matters more.
const LARGE_BYTES = 524_288
const MOST_LARGE = 32
const SMALL_BYTES = 65_536

// All sockets share this buffer: bytes are forwarded or copied before the next socket is read.
const shared = Buffer.allocUnsafeSlow(SHARED_BYTES)
const spare: Buffer[] = []
let large = 0

function takeOwn(): Buffer {
  if (large === MOST_LARGE) return Buffer.allocUnsafeSlow(SMALL_BYTES)
  large += 1
  return spare.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES)
}

/** Gives a large buffer back. `reusable`: no write from it is pending. */
function giveOwn(own: Buffer, reusable: boolean): void {
  if (own.length !== LARGE_BYTES) return
  large -= 1
  if (reusable) spare.push(own)
}

/** Receives bytes that a socket has read. `lent` memory is overwritten after the call. */
export type Receive = (bytes: Buffer, length: number, lent: boolean) => void

/**
 * The memory that a socket reads into. Small messages share one buffer and are copied. A long body (`bulk`) is read into a buffer of the socket's own,
 * from which it is written directly; reading is paused until that is done.
 */
export class ReadBuffer {
  /** A long body is being read. */
  bulk = false
  /** Whether no write from the own buffer is pending when `bulk` ends. */
  written = true
  #own: Buffer | undefined
  #begun = false
  readonly onread: { buffer: () => Buffer; callback: (length: number, bytes: Uint8Array) => boolean }

  constructor(receive: Receive) {
    this.onread = {
      buffer: () => this.#next() as Buffer, // undefined means no change to node:net
      callback: (length, bytes) => {
        this.#begun = true
        receive(bytes as Buffer, length, bytes === shared)
        return true
      },
    }
  }

  /** The buffer to read into from now on; undefined if it does not change. */
  #next(): Buffer | undefined {
    if (!this.#begun) return shared
    if (this.bulk === (this.#own !== undefined)) return undefined
    if (this.bulk) {
      this.#own = takeOwn()
      return this.#own
    }
    this.close()
    return shared
  }

  /** Gives the buffer back. The socket must not read any more. */
  close(): void {
    if (this.#own !== undefined) giveOwn(this.#own, this.written && !this.bulk)
    this.#own = undefined
  }
}

const SCRATCH_BYTES = 262_144
const MOST_VIEWED = 4_096
/** Room for the longest head with our headers, and for a shared buffer of body. */
const ROOM = 131_072

/** Composes heads together with the first bytes of a body, to send them in one write. */
export class OutputBuffer {
  #bytes = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  /** Views of the beginning of the memory, by their length. */
  #views: Buffer[] = []
  #start = 0
  #at = 0

  get isEmpty(): boolean {
    return this.#at === this.#start
  }

  copy(from: Buffer, start: number, end: number): void {
    const length = end - start
    if (this.#at + length > this.#bytes.length) this.#renew(length)
    copy(from, start, end, this.#bytes, this.#at)
    this.#at += length
  }

  lineEnd(): void {
    if (this.#at + 2 > this.#bytes.length) this.#renew(2)
    this.#bytes[this.#at] = CR
    this.#bytes[this.#at + 1] = LF
    this.#at += 2
  }

  text(latin1: string): void {
    if (this.#at + latin1.length > this.#bytes.length) this.#renew(latin1.length)
    this.#at += this.#bytes.write(latin1, this.#at, 'latin1')
  }

  /** Discards what was composed and not sent. */
  clear(): void {
    this.#at = this.#start
  }

  send(writer: SocketWriter): void {
    if (this.isEmpty) return
    writer.write(this.#view())
    // If the kernel has all bytes, their memory is used again.
    if (writer.isWritten) this.#at = this.#start
    else this.#start = this.#at
    if (this.#start > SCRATCH_BYTES - ROOM) this.#renew(0)
  }

  /** The bytes to send. Making a view costs as much as filling it, so views are kept; most messages have one of few lengths. */
  #view(): Buffer {
    const length = this.#at - this.#start
    if (this.#start > 0 || length > MOST_VIEWED) return this.#bytes.subarray(this.#start, this.#at)
    this.#views[length] ??= this.#bytes.subarray(0, length)
    return this.#views[length]
  }

  #renew(more: number): void {
    this.#views = []
    const before = this.#bytes.subarray(this.#start, this.#at)
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(SCRATCH_BYTES, before.length + more))
    this.#bytes.set(before)
    this.#start = 0
    this.#at = before.length
  }
}

const COPY_BELOW = 4_096

/** Sends bytes of a body after what was composed before. The socket may write from `bytes` later, unless they are lent. */
export function writeBody(
  out: OutputBuffer,
  writer: SocketWriter,
  bytes: Buffer,
  from: number,
  to: number,
  lent: boolean,
): void {
  if (lent || to - from < COPY_BELOW) {
    out.copy(bytes, from, to)
    return
  }
  if (out.isEmpty) {
    writer.write(bytes.subarray(from, to))
    return
  }
  const { socket } = writer
  socket.cork()
  out.send(writer)
  socket.write(bytes.subarray(from, to))
  socket.uncork()
}
