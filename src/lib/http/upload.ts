import type { ClientRequest, IncomingMessage } from 'node:http'
import { trailersToSend } from './headers.ts'

/** The body of a request on its way to the upstream: begun and stopped without losing a byte, so that it can go elsewhere. */
export class Upload {
  readonly #request: IncomingMessage
  readonly #drops: (name: string) => boolean
  #to: ClientRequest | undefined
  #pending: Buffer | undefined
  #begun = false
  #done = false

  constructor(request: IncomingMessage, drops: (name: string) => boolean) {
    this.#request = request
    this.#drops = drops
  }

  /** Whether a byte was handed to an upstream. */
  get begun(): boolean {
    return this.#begun
  }

  get done(): boolean {
    return this.#done
  }

  /** Whether it is the client's turn: we would take bytes, and none come. */
  get waitsForClient(): boolean {
    return this.#to !== undefined && !this.#done && this.#pending === undefined && !this.#request.isPaused()
  }

  start(to: ClientRequest): void {
    this.#to = to
    this.#request.on('data', this.#take).on('end', this.#end)
    to.on('drain', this.#resume)
    this.#request.resume()
  }

  stop(): void {
    if (this.#to === undefined) return
    this.#request.off('data', this.#take).off('end', this.#end).pause()
    this.#to.off('drain', this.#resume)
    this.#to = undefined
    if (this.#pending !== undefined) this.#request.unshift(this.#pending)
    this.#pending = undefined
  }

  #take = (chunk: Buffer): void => {
    this.#request.pause()
    this.#pending = chunk
    // Not at once: an upstream that has answered early and closed is read from first. A write to it would fail, and node
    // throws away with the connection what was not read from it.
    setImmediate(this.#give)
  }

  #give = (): void => {
    const [to, chunk] = [this.#to, this.#pending]
    if (to === undefined || chunk === undefined) return
    this.#pending = undefined
    this.#begun = true
    if (to.write(chunk)) this.#request.resume()
  }

  #resume = (): void => {
    if (this.#pending === undefined) this.#request.resume()
  }

  #end = (): void => {
    this.#done = true
    this.#begun = true
    const trailers = trailersToSend(this.#request.rawTrailers, this.#drops)
    if (trailers.length > 0) this.#to?.addTrailers(trailers)
    this.#to?.end()
  }
}
