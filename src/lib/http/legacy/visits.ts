import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { ShadowError } from '../../errors.ts'
import { noLog } from '../../log.ts'
import type { Counters } from '../counters.ts'
import type { Limits } from '../guard/limits.ts'
import { problemAnswer, wholeAnswer } from '../problem-answer.ts'

type Visit = {
  served: number
  /** Requests that are not answered, or not read to their end. */
  active: number
  /** For how long there has been none, and how many bytes had come when that began: more are the beginning of a head. */
  restMs: number
  bytesAtRest: number
  /** A part of a head has come; `restMs` counts from then. */
  readsHead: boolean
  /** It has had its last request: nothing that comes is taken for one any more. */
  isOver: boolean
  /** That request; those before it may still be answered. */
  last: IncomingMessage | undefined
  /** The latest of those that are active. */
  newest: IncomingMessage | undefined
}

/** The connections on the safe path, with the limits that hold for what is between their requests. */
export class Visits {
  readonly #all = new Map<Socket, Visit>()
  readonly #limits: Limits
  readonly #counters: Counters

  constructor(limits: Limits, counters: Counters) {
    this.#limits = limits
    this.#counters = counters
  }

  /** Enters a connection that has served so many requests before. */
  enter(socket: Socket, served: number): void {
    if (this.#all.has(socket)) return
    this.#all.set(socket, {
      served,
      active: 0,
      restMs: 0,
      bytesAtRest: socket.bytesRead,
      readsHead: false,
      isOver: false,
      last: undefined,
      newest: undefined,
    })
    socket.once('close', () => this.#all.delete(socket))
  }

  /** Takes note of a request until it is answered and read to its end. The last that its connection may serve ends it. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    const visit = this.#all.get(request.socket)
    if (visit === undefined) return
    visit.active += 1
    visit.served += 1
    visit.newest = request
    this.#countAnswer(response)
    response.once('close', () => {
      if (request.complete) this.#rest(request.socket, visit)
      else request.once('close', () => this.#rest(request.socket, visit))
    })
    if (visit.served < this.#limits.requestsPerConnection) return
    this.#counters.servedMost += 1
    this.endsWith(request, response)
  }

  isOver(socket: Socket): boolean {
    return this.#all.get(socket)?.isOver === true
  }

  /** Answers with the error, unless an answer is under way, and ends the connection. */
  refuse(socket: Socket, error: ShadowError): void {
    const visit = this.#all.get(socket)
    if (visit?.isOver) return
    if (visit === undefined || visit.active > 0 || !socket.writable) {
      socket.destroy()
      return
    }
    visit.isOver = true
    visit.restMs = 0
    this.#counters.answeredOurselves(error.status, error.code)
    socket.end(wholeAnswer(problemAnswer(error, noLog)))
  }

  /** Has the connection end with this request, which its answer says unless that has begun. */
  endsWith(request: IncomingMessage, response: ServerResponse): void {
    response.shouldKeepAlive = false
    // node:http would close on what still comes of the body, and so reset the connection under the answer.
    if (!request.complete) request.socket.destroySoon = endOurSide
    const visit = this.#all.get(request.socket)
    if (visit === undefined) return
    visit.isOver = true
    visit.last = request
  }

  isLast(request: IncomingMessage): boolean {
    return this.#all.get(request.socket)?.last === request
  }

  /** Whether nothing was asked for behind this request. */
  isNewest(request: IncomingMessage): boolean {
    const visit = this.#all.get(request.socket)
    return visit === undefined || visit.newest === request
  }

  look(sinceMs: number): void {
    for (const [socket, visit] of this.#all) {
      if (visit.active > 0) continue
      visit.restMs += sinceMs
      this.#lookAt(socket, visit)
    }
  }

  /** Closes the connections without a request, and tells how many. */
  closeIdle(): number {
    let closed = 0
    for (const [socket, visit] of this.#all) {
      if (visit.active > 0 || socket.bytesRead > visit.bytesAtRest) continue
      socket.destroy()
      closed += 1
    }
    return closed
  }

  cut(): void {
    for (const socket of this.#all.keys()) socket.destroy()
  }

  #lookAt(socket: Socket, visit: Visit): void {
    const { headWithinMs, keepAliveMs, lingerMs } = this.#limits
    if (visit.isOver) {
      if (visit.restMs >= lingerMs) socket.destroy()
    } else if (socket.bytesRead > visit.bytesAtRest) {
      if (!visit.readsHead) visit.restMs = 0
      visit.readsHead = true
      if (visit.restMs < headWithinMs) return
      this.#counters.lateHeads += 1
      this.refuse(socket, new ShadowError('too-slow', `the head was not whole within ${headWithinMs} ms`))
    } else if (visit.restMs >= keepAliveMs) {
      this.#counters.idle += 1
      socket.destroy()
    }
  }

  #rest(socket: Socket, visit: Visit): void {
    visit.active -= 1
    if (visit.active === 0) visit.newest = undefined
    visit.restMs = 0
    visit.readsHead = false
    visit.bytesAtRest = socket.bytesRead
  }

  #countAnswer(response: ServerResponse): void {
    let counted = false
    const count = (): void => {
      if (counted || !response.headersSent) return
      counted = true
      this.#counters.answered(response.statusCode)
    }
    response.once('finish', count).once('close', count)
  }
}

function endOurSide(this: Socket): void {
  this.end()
}
