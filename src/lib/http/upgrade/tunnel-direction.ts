import type { Socket } from 'node:net'
import { Intake, passOn, Scratch } from '../sockets/buffers.ts'
import { readInto } from '../sockets/read-into.ts'
import type { Outlet } from '../sockets/socket-writer.ts'
import type { FrameBoundaries } from './websocket-frames.ts'

type FlowOptions = {
  /** Whether to read into memory that is used again, where this Node can. */
  readonly reusesMemory: boolean
  /** Follows what passes, so that frames of our own can be put in between. */
  readonly frames?: FrameBoundaries | undefined
  /** Bytes have come. */
  readonly onCame?: (() => void) | undefined
  /** All of those that had to wait have been taken. */
  readonly onTaken?: (() => void) | undefined
  /** A frame of our own was sent. */
  readonly onPut?: (() => void) | undefined
}

/** One direction of a splice: passes on what comes from a socket, and reads no more of it than the other takes, up to the end. */
export class Flow {
  readonly #from: Socket
  readonly #to: Outlet
  readonly #options: FlowOptions
  readonly #intake: Intake | undefined
  /** A frame of our own, to be sent once the one that is passing has ended. */
  #due: Buffer | undefined
  /** It is the last one. */
  #ends = false
  #isOver = false

  constructor(from: Socket, to: Outlet, options: FlowOptions) {
    this.#from = from
    this.#to = to
    this.#options = options
    from
      .on('data', (chunk: Buffer) => this.#received(chunk, chunk.length, false, false)) // also what was read before this
      .on('end', () => this.#to.socket.end())
    if (options.reusesMemory) {
      const intake = new Intake((bytes, length, lent) => this.#received(bytes, length, lent, !lent))
      if (readInto(from, intake)) this.#intake = intake
    }
    from.resume()
  }

  /** The socket has closed. */
  close(): void {
    this.#intake?.close()
  }

  /** Sends a frame of our own between those that pass: now, or when the one that is passing has ended. None takes back one that waits. */
  put(frame: Buffer | undefined): void {
    if (this.#ends) return
    this.#due = frame
    if (this.#options.frames?.atBoundary) this.#putDue()
  }

  /** The same with a last frame: nothing follows it. */
  end(last: Buffer): void {
    this.put(last)
    this.#ends = true
    if (this.#due === undefined) this.#over()
  }

  /** `fromOwn`: the bytes are in memory of the socket's own, which the next are read into. */
  #received(bytes: Buffer, length: number, lent: boolean, fromOwn: boolean): void {
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
    this.#mayWait(length, fromOwn)
  }

  /** Reads no more until what waits has been taken: where there is much of it, or it is in memory that would be read into again. */
  #mayWait(length: number, fromOwn: boolean): void {
    const isWritten = this.#to.isWritten
    if (this.#intake !== undefined) {
      // TLS passes on what it has read already though it is told to read no more.
      this.#intake.bulk = length >= BULK_FROM && !('encrypted' in this.#from)
      this.#intake.written = isWritten
    }
    if (isWritten || (!fromOwn && this.#to.waiting < MOST_WAITING)) return
    this.#from.pause()
    this.#to.whenWritten(this.#written)
  }

  #pass(bytes: Buffer, from: number, to: number, lent: boolean): void {
    if (from === to) return
    passOn(out, this.#to, bytes, from, to, lent)
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
    this.#from.resume()
  }
}

/** A full buffer tells of more to come. */
const BULK_FROM = 32_768
const MOST_WAITING = 65_536

const out = new Scratch()
