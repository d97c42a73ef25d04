import type { Socket } from 'node:net'
import { OutputBuffer, type ReadBuffer, writeBody } from '../sockets/buffers.ts'
import type { SocketWriter } from '../sockets/socket-writer.ts'
import type { FrameBoundaries } from './websocket-frames.ts'

/** One of the two connections of a tunnel. */
export interface TunnelEnd {
  readonly socket: Socket
  readonly writer: SocketWriter
  /** The memory that is reused for reading; undefined if each chunk has memory of its own. */
  readonly readBuffer: ReadBuffer | undefined
}

type DirectionOptions = {
  /** Follows the frames that pass, so that frames of our own can be sent between them. */
  readonly frames?: FrameBoundaries | undefined
  /** Called when bytes have come. */
  readonly onCame?: (() => void) | undefined
  /** Called when the other socket has taken all bytes that had to wait. */
  readonly onTaken?: (() => void) | undefined
  /** Called when a frame of our own was sent. */
  readonly onPut?: (() => void) | undefined
}

/** One direction of a tunnel. It passes on what comes from one socket, and reads no faster than the other socket takes it. */
export class TunnelDirection {
  readonly #from: TunnelEnd
  readonly #to: SocketWriter
  readonly #options: DirectionOptions
  /** A frame of our own, to be sent when the frame that is passing has ended. */
  #due: Buffer | undefined
  /** That frame is the last one. */
  #ends = false
  #isOver = false

  constructor(from: TunnelEnd, to: TunnelEnd, options: DirectionOptions) {
    this.#from = from
    this.#to = to.writer
    this.#options = options
  }

  /** Bytes have come; `lent` memory is used again after the call. */
  received(bytes: Buffer, length: number, lent: boolean): void {
    this.#options.onCame?.()
    const boundary = this.#options.frames?.push(bytes, length) ?? -1
    if (this.#isOver) return
    let from = 0
    if (this.#due !== undefined && boundary >= 0) {
      this.#pass(bytes, 0, boundary, lent)
      this.#putDue()
      from = boundary
    }
    if (!this.#isOver) this.#pass(bytes, from, length, lent)
    this.#mayWait(length, !lent && this.#from.readBuffer !== undefined)
  }

  /** No more bytes come. */
  ended(): void {
    this.#to.socket.end()
  }

  /** Sends a frame of our own: now, or when the frame that is passing has ended. `undefined` takes back a frame that waits. */
  put(frame: Buffer | undefined): void {
    if (this.#ends) return
    this.#due = frame
    if (this.#options.frames?.atBoundary) this.#putDue()
  }

  /** Sends a last frame in the same way: nothing follows it. */
  end(last: Buffer): void {
    this.put(last)
    this.#ends = true
    if (this.#due === undefined) this.#over()
  }

  /** Pauses reading until the waiting bytes are taken, if they are many or lie in memory (`fromOwn`) that would be read into next. */
  #mayWait(length: number, fromOwn: boolean): void {
    const { readBuffer, socket } = this.#from
    const isWritten = this.#to.isWritten
    if (readBuffer !== undefined) {
      // A TLS socket passes on what it has decrypted even when it is paused.
      readBuffer.bulk = length >= BULK_FROM && !('encrypted' in socket)
      readBuffer.written = isWritten
    }
    if (isWritten || (!fromOwn && this.#to.waiting < MOST_WAITING)) return
    socket.pause()
    this.#to.whenWritten(this.#written)
  }

  #pass(bytes: Buffer, from: number, to: number, lent: boolean): void {
    if (from === to) return
    writeBody(out, this.#to, bytes, from, to, lent)
    out.send(this.#to)
  }

  #putDue(): void {
    const frame = this.#due
    this.#due = undefined
    if (frame === undefined || !this.#to.socket.writable) return
    this.#to.write(frame)
    this.#options.onPut?.()
    if (this.#ends) this.#over()
  }

  #over(): void {
    this.#isOver = true
    this.#to.socket.end()
  }

  readonly #written = (): void => {
    this.#options.onTaken?.()
    this.#from.socket.resume()
  }
}

/** A full buffer means that more is to come. */
const BULK_FROM = 32_768
const MOST_WAITING = 65_536

const out = new OutputBuffer()
