import type { Socket } from 'node:net'
import { uses } from '../node-internals/fallbacks.ts'
import { handleOf, isComplete, newWriteRequest, tcpQueueOf } from '../node-internals/handle.ts'
import { PendingTlsWrite } from '../node-internals/pending-tls-write.ts'

/**
 * Writes to a socket. Small writes to TLS go to the socket's handle, past the machinery of a stream. Where
 * this Node does not let us, they are ordinary writes.
 */
export class SocketWriter {
  readonly socket: Socket
  readonly #failed: (cause: Error) => void
  /** Called once the kernel has the rest of what was handed to it; undefined if it has all. */
  #waiting: (() => void)[] | undefined
  readonly #tlsWrite: PendingTlsWrite | undefined

  constructor(socket: Socket, failed: (cause: Error) => void) {
    this.socket = socket
    this.#failed = failed
    if ('encrypted' in socket && uses('tls-writes')) this.#tlsWrite = PendingTlsWrite.of(socket)
  }

  /** Whether the kernel has all that was written. */
  get isWritten(): boolean {
    return this.#waiting === undefined && this.socket.writableLength === 0
  }

  /** Bytes that were written and that the kernel does not have yet. */
  get waiting(): number {
    const { socket } = this
    const handed = this.#waiting === undefined ? 0 : (handleOf(socket)?.writeQueueSize ?? 0)
    return socket.writableLength + handed
  }

  /** Writes bytes, which must not change until all is written. */
  write(bytes: Buffer): void {
    if (this.#tlsWrite === undefined || !this.#hand(bytes, this.#tlsWrite)) this.socket.write(bytes)
  }

  /** Calls back when the kernel has all that was written, or the socket is destroyed. */
  whenWritten(then: () => void): void {
    if (this.isWritten || this.socket.destroyed) then()
    else if (this.socket.writableLength > 0) this.socket.write(NOTHING, () => then())
    else this.#waiting?.push(then)
  }

  /**
   * Hands the bytes to the handle of a TLS socket; false if they have to be written in the ordinary way. A TLS write never completes synchronously,
   * but the caller may reuse `bytes` at once: OpenSSL has copied them.
   */
  #hand(bytes: Buffer, pending: PendingTlsWrite): boolean {
    const { socket } = this
    if (bytes.length > MOST_HANDED || this.#waiting !== undefined) return false
    if (socket.writableLength > 0 || socket.writableCorked > 0) return false
    if (socket.connecting || !socket.writable || pending.isOn) return false
    const handle = handleOf(socket)
    if (handle?.writeBuffer === undefined || tcpQueueOf(handle) === undefined) return false
    const request = pending.takeSpare() ?? newWriteRequest(handle)
    // A write that failed fails again as an ordinary one, which reports the error.
    if (request === undefined || handle.writeBuffer(request, bytes) !== 0) return false
    if (isComplete(request)) {
      this.#failed(new Error('a write failed')) // only a failed TLS write is complete at once
      return true
    }
    pending.begin(request)
    if (tcpQueueOf(handle) !== 0) pending.whenOver(this.#wait())
    return true
  }

  /** Waits for a request; returns what is to be called when the request completes. */
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

/** Longer writes go through the stream, whose machinery costs little beside the copying. */
const MOST_HANDED = 16_384
const NOTHING = Buffer.alloc(0)
