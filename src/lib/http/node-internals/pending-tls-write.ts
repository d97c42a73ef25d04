import type { Socket } from 'node:net'
import { isComplete, type WriteRequest } from './handle.ts'

type Done = (error?: Error | null) => void
/** The methods by which a stream writes to its socket. A subclass may have replaced them. */
type Writes = {
  _write(chunk: unknown, encoding: BufferEncoding, done: Done): void
  _writev(chunks: unknown, done: Done): void
  _final(done: Done): void
}

const pending = new WeakMap<Socket, PendingTlsWrite>()

/**
 * The write that was handed to the handle of a TLS socket and has not completed. It completes in a later phase of the event loop, even if the
 * kernel took all bytes at once. Another write before would abort the process, so the stream's own writes are held back until then.
 */
export class PendingTlsWrite {
  #request: WriteRequest | undefined

  private constructor(socket: Socket) {
    const writes = socket as unknown as Writes
    const { _write, _writev, _final } = writes
    writes._write = (chunk, encoding, done) => this.#hold(done, () => _write.call(socket, chunk, encoding, done))
    writes._writev = (chunks, done) => this.#hold(done, () => _writev.call(socket, chunks, done))
    writes._final = done => this.#hold(done, () => _final.call(socket, done))
  }

  /** The pending write of a socket. All writers of one socket share it. */
  static of(socket: Socket): PendingTlsWrite {
    const found = pending.get(socket) ?? new PendingTlsWrite(socket)
    pending.set(socket, found)
    return found
  }

  get isOn(): boolean {
    return this.#request !== undefined && !isComplete(this.#request)
  }

  /** Takes out a complete request that can be used again; undefined if there is none. */
  takeSpare(): WriteRequest | undefined {
    const request = this.#request
    this.#request = undefined
    return request
  }

  begin(request: WriteRequest): void {
    this.#request = request
  }

  /** Calls back with the status when the write completes; at once if none is pending. A request without this callback costs less. */
  whenOver(then: (status: number) => void): void {
    const request = this.#request
    if (request === undefined || !this.isOn) {
      then(0)
      return
    }
    const { oncomplete: before } = request
    request.oncomplete = status => {
      if (this.#request === request) this.#request = undefined // a request that was used again would call back again
      before?.(status)
      then(status)
    }
  }

  #hold(done: Done, write: () => void): void {
    if (!this.isOn) write()
    else
      this.whenOver(status => {
        if (status < 0) done(new Error(`the write before it failed with ${status}`))
        else write()
      })
  }
}
