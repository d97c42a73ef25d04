import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { type Clock, systemClock } from '../../clock.ts'
import { ShadowError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { door, fail, type Handler } from '../api/request-handler.ts'
import { Counters } from '../counters.ts'
import { LIMITS, type Limits } from '../guard/limits.ts'
import { wholeAnswer } from '../problem-answer.ts'
import { askIfThere } from './half-closed.ts'
import { hasBody } from './heads.ts'
import { excessOf, faultOf, toOriginForm } from './strict-head.ts'
import { Visits } from './visits.ts'

const KEEPALIVE_PROBE_AFTER_MS = 30_000

export type StrictOptions = {
  readonly log: Log
  readonly clock?: Clock | undefined
  /** Whether each connection ends with what it has asked for by now; where it is not said, as soon as the server listens no more. */
  readonly drains?: () => boolean
  readonly limits?: Limits
  readonly counters?: Counters
  /** The connections that it serves, where others look at them too. */
  readonly visits?: Visits
}

/**
 * A server for a forwarder (see forward.ts): requests, `Expect: 100-continue` and upgrades all come to the one handler, untouched; what
 * two servers in a row could understand differently is refused.
 */
export function strictServer(handler: Handler, options: StrictOptions): Server {
  const { log, clock = systemClock, limits = LIMITS, counters = new Counters() } = options
  const drains = (): boolean => options.drains?.() ?? !server.listening
  const { visits = new Visits(limits, counters) } = options
  const open = door(handler, { log })
  const closeLate: CloseLate = (socket, unless = () => false) => {
    const alarm = clock.after(limits.lingerMs, () => unless() || socket.destroy())
    socket.once('close', () => alarm[Symbol.dispose]())
  }
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    // Where the head was not understood, what follows it need not be a request: node:http reads it as one all the same.
    if (visits.isOver(request.socket)) return
    visits.begin(request, response)
    // Behind an offer to switch that is ignored node:http drops the rest of the packet, and takes what comes next for a request.
    if (!response.shouldKeepAlive || request.headers.upgrade !== undefined) visits.endsWith(request, response)
    const isLast = (): boolean => visits.isLast(request) || (drains() && visits.isNewest(request))
    const sayIfLast = (): void => void (isLast() && visits.endsWith(request, response))
    if (drains()) sayIfLast()
    else beforeHead(response, sayIfLast)
    response.on('finish', () => linger(request, isLast(), closeLate))
    const excess = excessOf(request, limits, counters)
    const fault = excess ?? faultOf(request)
    if (fault === undefined) {
      toOriginForm(request)
      askIfThere(request, response, clock)
      open(request, response)
    } else {
      visits.endsWith(request, response)
      if (excess === undefined) counters.refusedHead(fault.status)
      counters.erred(fault.code)
      fail(request, response, fault, log)
    }
  }
  const server = createServer({
    insecureHTTPParser: false,
    requireHostHeader: false, // where it refuses itself, it serves what came right behind all the same
    maxHeaderSize: limits.headBytes,
    // Heads are looked at by the visits, bodies by the forwarder.
    headersTimeout: 0,
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveMs,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_PROBE_AFTER_MS,
    // An upgrade is an offer that may be ignored (RFC 9110, 7.8): so one with a body is a plain request, and so is h2c.
    shouldUpgradeCallback: request => !hasBody(request) && !/^h2c?$/i.test(request.headers.upgrade ?? 'h2c'),
  })
  // A client that ends its side may wait for its answer; node:http would end the connection.
  Object.assign(server, { httpAllowHalfOpen: true })
  server.maxHeadersCount = 0 // beyond its default of 2000 headers would vanish unseen; the size bounds them
  return server
    .on('connection', socket => {
      socket.setMaxListeners(0) // each of many pipelined requests listens for its close
      visits.enter(socket, 0)
    })
    .on('clientError', (error: NodeJS.ErrnoException, socket) => {
      const fault = faultOfParser(error, limits)
      if (fault === undefined) return void socket.destroy()
      counters.refusedHead(fault.status)
      visits.refuse(socket as Socket, fault)
    })
    .on('request', listener)
    .on('checkContinue', listener)
    .on('upgrade', (request, socket, head) =>
      listener(request, responseOver(request, socket as Socket, head, closeLate)),
    )
    .on('connect', (_request, socket) => void socket.on('error', () => undefined).end(wholeAnswer(NO_CONNECT)))
}

/** Closes a connection that goes on for longer than who was answered may, unless there is no need any more. */
type CloseLate = (socket: Socket, unless?: () => boolean) => void

const NO_CONNECT = { status: 405, headers: { 'x-shadow-error': 'bad-input' } }

/** What node:http refuses itself; undefined where it is the connection that failed. */
function faultOfParser({ code = '' }: NodeJS.ErrnoException, { headBytes }: Limits): ShadowError | undefined {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new ShadowError('head-too-large', `the head is longer than ${headBytes} bytes`)
  return code.startsWith('HPE_') ? new ShadowError('bad-input', `no request that is understood: ${code}`) : undefined
}

/** A response for an upgrade request, so that refusing one is like answering any other; the parser has let go of the socket. */
function responseOver(request: IncomingMessage, socket: Socket, head: Buffer, closeLate: CloseLate): ServerResponse {
  socket.on('error', ignore) // its close is what the forwarder looks at; it outlives the response, and must not hold it
  if (head.length > 0) socket.unshift(head)
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  response.on('finish', () => {
    response.detachSocket(socket)
    socket.end()
    closeLate(socket)
    socket.resume()
  })
  return response
}

/** Calls back just before the head of the answer is made, which is the last moment to say that the connection ends with it. */
function beforeHead(response: ServerResponse, then: () => void): void {
  const { writeHead } = response
  response.writeHead = (...given: readonly unknown[]) => {
    then()
    return writeHead.apply(response, given as Parameters<typeof writeHead>)
  }
}

/** Reads on what is left of a body that was answered early: closing on unread bytes makes the kernel reset the connection, answer and all. */
function linger(request: IncomingMessage, closes: boolean, closeLate: CloseLate): void {
  const { socket } = request
  const close = (): void => {
    if (closes) Socket.prototype.destroySoon.call(socket)
  }
  if (request.complete) {
    close()
    return
  }
  request
    .on('error', () => undefined)
    .on('end', close)
    .resume()
  closeLate(socket, () => request.complete)
}

const ignore = (): void => undefined
