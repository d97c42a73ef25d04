import type { Socket } from 'node:net'

/** A write that was handed to a handle of node:net. */
export type WriteRequest = { buffer?: Buffer; oncomplete?: (status: number) => void; getAsyncId(): number }

type Done = (error?: Error | null) => void
/** How a stream's machinery writes; a class of its own may have others in their place. */
type Writes = {
  _write(chunk: unknown, encoding: BufferEncoding, done: Done): void
  _writev(chunks: unknown, done: Done): void
  _final(done: Done): void
}

const UNUSED = -1
const flights = new WeakMap<Socket, Flight>()

/**
 * The write that was handed to a TLS socket's handle and not said to be done; that is said in a later phase of the loop, even where the
 * kernel had it all at once. Another write before then would end the process, so those of the stream are held until it is.
 */
export class Flight {
  #request: WriteRequest | undefined

  private constructor(socket: Socket) {
    const writes = socket as unknown as Writes
    const { _write, _writev, _final } = writes
    writes._write = (chunk, encoding, done) => this.#hold(done, () => _write.call(socket, chunk, encoding, done))
    writes._writev = (chunks, done) => this.#hold(done, () => _writev.call(socket, chunks, done))
    writes._final = done => this.#hold(done, () => _final.call(socket, done))
  }

  /** That of a socket, whoever else writes to it. */
  static of(socket: Socket): Flight {
    const found = flights.get(socket) ?? new Flight(socket)
    flights.set(socket, found)
    return found
  }

  get isOn(): boolean {
    return this.#request !== undefined && this.#request.getAsyncId() !== UNUSED
  }

  /** A request that can be used again; there may be one when none is on. */
  takeSpare(): WriteRequest | undefined {
    const request = this.#request
    this.#request = undefined
    return request
  }

  begin(request: WriteRequest): void {
    this.#request = request
  }

  /** Calls back when it is over. A request that does not say so costs less, so that this is asked for only where somebody waits. */
  whenOver(then: (status: number) => void): void {
    const request = this.#request
    if (request === undefined || !this.isOn) {
      then(0)
      return
    }
    const { oncomplete: before } = request
    request.oncomplete = status => {
      if (this.#request === request) this.#request = undefined // it would go on saying so
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
