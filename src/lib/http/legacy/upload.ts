import type { ClientRequest, IncomingMessage } from 'node:http'
import { trailersToSend } from './headers.ts'

/** The body of a request on its way to the upstream. */
export class Upload {
  readonly #request: IncomingMessage
  readonly #drops: (name: string) => boolean
  readonly #most: number
  readonly #onTooLarge: () => void
  #bytes = 0
  #to: ClientRequest | undefined
  #begun = false
  #done = false

  constructor(request: IncomingMessage, drops: (name: string) => boolean, most: number, onTooLarge: () => void) {
    this.#request = request
    this.#drops = drops
    this.#most = most
    this.#onTooLarge = onTooLarge
  }

  /** Whether a byte of it was handed to an upstream: then it cannot be sent again. */
  get begun(): boolean {
    return this.#begun
  }

  get done(): boolean {
    return this.#done
  }

  /** Whether it is the client's turn: we would take bytes, and none come. */
  get waitsForClient(): boolean {
    return this.#to !== undefined && !this.#done && !this.#request.isPaused()
  }

  start(to: ClientRequest): void {
    this.#to = to
    this.#request.on('data', this.#take).on('end', this.#end)
    to.on('drain', this.#resume)
    this.#request.resume()
  }

  /** Sends no more of it. What is left stays for another try; after an answer it is read away, so that the client is heard out. */
  stop(answered: boolean): void {
    if (this.#to === undefined) return
    this.#request.off('data', this.#take).off('end', this.#end)
    if (answered) this.#request.resume()
    else this.#request.pause()
    this.#to.off('drain', this.#resume)
    this.#to = undefined
  }

  #take = (chunk: Buffer): void => {
    this.#begun = true
    this.#bytes += chunk.length
    if (this.#bytes > this.#most) this.#onTooLarge()
    else if (this.#to?.write(chunk) === false) this.#request.pause()
  }

  #resume = (): void => void this.#request.resume()

  #end = (): void => {
    this.#begun = true
    this.#done = true
    const trailers = trailersToSend(this.#request.rawTrailers, this.#drops)
    if (trailers.length > 0) this.#to?.addTrailers(trailers)
    this.#to?.end()
  }
}
