import type { Socket } from 'node:net'
import { Flight, type WriteRequest } from './pending-write.ts'

/** What node:net writes to the kernel by, as far as it is known here. */
type Handle = {
  readonly writeQueueSize?: number
  writeBuffer?(request: WriteRequest, bytes: Buffer): number
  /** The handle beneath, of TLS. */
  readonly _parent?: Handle
}

/** The class of the requests, once one was seen; null where this Node has none that we know. */
let RequestClass: (new () => WriteRequest) | null | undefined
let spare: WriteRequest | undefined

/**
 * The side of a socket that is written to. What the kernel takes at once is handed to it without the machinery of a stream, which costs
 * more than all that is done with a small request; where this Node does not let us, it is an ordinary write.
 */
export class Outlet {
  readonly socket: Socket
  readonly #failed: (cause: Error) => void
  /** To be called once the kernel has the rest of what was handed to it. */
  #waiting: (() => void)[] | undefined
  /** What TLS has not said is done. */
  readonly #flight: Flight | undefined

  constructor(socket: Socket, failed: (cause: Error) => void) {
    this.socket = socket
    this.#failed = failed
    if ('encrypted' in socket) this.#flight = Flight.of(socket)
  }

  /** Whether all that was written is with the kernel. */
  get isWritten(): boolean {
    return this.#waiting === undefined && this.socket.writableLength === 0
  }

  /** Bytes that were written and are not with the kernel. */
  get waiting(): number {
    const { socket } = this
    const handed = this.#waiting === undefined ? 0 : (handleOf(socket)?.writeQueueSize ?? 0)
    return socket.writableLength + handed
  }

  /** Writes; the bytes must stay as they are until all is written. */
  write(bytes: Buffer): void {
    if (!this.#hand(bytes)) this.socket.write(bytes)
  }

  /** Calls back when all that was written is with the kernel, or the socket is destroyed. */
  whenWritten(then: () => void): void {
    if (this.isWritten || this.socket.destroyed) then()
    else if (this.socket.writableLength > 0) this.socket.write(NOTHING, () => then())
    else this.#waiting?.push(then)
  }

  /** Hands the bytes to the kernel; false where they have to be written in the ordinary way. */
  #hand(bytes: Buffer): boolean {
    const { socket } = this
    if (bytes.length > MOST_HANDED || this.#waiting !== undefined) return false
    if (socket.writableLength > 0 || socket.writableCorked > 0) return false
    if (socket.connecting || !socket.writable) return false
    const handle = handleOf(socket)
    if (handle?.writeBuffer === undefined) return false
    if (this.#flight !== undefined) return this.#handSecure(handle, bytes, this.#flight)
    const request = spare ?? newRequest(handle)
    if (request === undefined) return false
    spare = undefined
    // What failed, fails again as a stream's, and is told as such.
    if (handle.writeBuffer(request, bytes) !== 0) return false
    // A queue that is empty does not tell: libuv may have written the rest by now, and be about to say so by the request.
    if (request.getAsyncId() === UNUSED) spare = request
    else {
      request.buffer = bytes // which must not be collected meanwhile
      request.oncomplete = this.#wait()
    }
    return true
  }

  /** The same by TLS, which is never done at once, though it needs the bytes no more and the kernel may have what it has made of them. */
  #handSecure(handle: Handle, bytes: Buffer, flight: Flight): boolean {
    const { _parent: beneath } = handle
    if (beneath?.writeQueueSize === undefined || flight.isOn) return false
    const request = flight.takeSpare() ?? newRequest(handle)
    if (request === undefined || handle.writeBuffer?.(request, bytes) !== 0) return false
    if (request.getAsyncId() === UNUSED) {
      this.#failed(new Error('a write failed')) // nothing else is over at once
      return true
    }
    flight.begin(request)
    if (beneath.writeQueueSize > 0) flight.whenOver(this.#wait())
    return true
  }

  /** What is to be called when the request that has begun is over. */
  #wait(): (status: number) => void {
    this.#waiting = []
    return status => {
      const waiting = this.#waiting ?? []
      this.#waiting = undefined
      if (status < 0) this.#failed(new Error(`a write failed with ${status}`))
      for (const then of waiting) then()
    }
  }
}

/** Beyond it the machinery costs little beside the copying. */
const MOST_HANDED = 16_384
const NOTHING = Buffer.alloc(0)
const UNUSED = -1

const handleOf = (socket: Socket): Handle | null | undefined => (socket as { _handle?: Handle | null })._handle

/** A request, once its class is known; that is learnt from the next ordinary write, since Node does not name it. */
function newRequest(handle: Handle): WriteRequest | undefined {
  if (RequestClass !== undefined) return RequestClass === null ? undefined : new RequestClass()
  const { writeBuffer } = handle
  handle.writeBuffer = (request, bytes) => {
    delete handle.writeBuffer // the one of all handles shows again
    const found = request.constructor as new () => WriteRequest
    RequestClass = found.name === 'WriteWrap' && typeof request.getAsyncId === 'function' ? found : null
    return writeBuffer?.call(handle, request, bytes) ?? 0
  }
  return undefined
}
