import type { RequestListener } from 'node:http'
import type { Server, Socket } from 'node:net'
import { ShadowError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { ListenAddress } from '../../settings.ts'
import type { Exchange, StreamedRequest, StreamedResponse } from '../exchange.ts'
import { bind, close, type Listening } from '../listening.ts'
import { problemAnswer } from '../problem-answer.ts'

export type Handler = (request: StreamedRequest, response: StreamedResponse, signal: AbortSignal) => Promise<void>

/** A listener for node:http that turns errors into answers. `signal` aborts when the client leaves; then no answer is written. */
export function requestListener(handler: Handler, { log }: { log: Log }): RequestListener {
  return (request, response) => {
    response.on('error', ignore)
    const gone = new AbortController()
    response.on('close', () => {
      if (!response.writableFinished) gone.abort(new ShadowError('client-gone', 'the client left before its answer'))
    })
    handler(request, response, gone.signal).catch(thrown => {
      if (!gone.signal.aborted) fail(request, response, thrown, log)
    })
  }
}

/** Serves an exchange by a handler: for answers that are streams, and requests whose bodies are read. */
export async function byHandler(exchange: Exchange, handler: Handler, log: Log): Promise<void> {
  const { request, response, signal } = await exchange.open()
  response.on('error', ignore)
  try {
    await handler(request, response, signal)
  } catch (thrown) {
    if (!signal.aborted) fail(request, response, thrown, log)
  }
}

/** Answers with the error's problem document. Internal errors are logged under the id that the answer carries. */
export function fail(request: StreamedRequest, response: StreamedResponse, thrown: unknown, log: Log): void {
  const { method = '', url: target = '' } = request
  const { status, headers, body } = problemAnswer(thrown, log, { method, target })
  if (response.headersSent) {
    response.destroy() // half an answer must not look like a whole one
    return
  }
  response.writeHead(status, headers)
  response.end(body)
}

/** A write after the end of a response is an `error` event. The writer watches `close` instead, so the event needs no handling. */
const ignore = (): void => undefined

/** Answers with JSON. */
export function reply(
  response: StreamedResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(value === undefined ? undefined : `${JSON.stringify(value)}\n`)
}

/** Reads a JSON body of at most `most` bytes. Fails with `bad-input` or `too-large`. */
export async function readJson(request: StreamedRequest, most = 1_048_576): Promise<unknown> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > most) throw new ShadowError('too-large', `the body is larger than ${most} bytes`)
    chunks.push(chunk)
  }
  if (length === 0) return undefined
  const body = Buffer.concat(chunks).toString()
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw new ShadowError('bad-input', `the body is not JSON: ${(cause as Error).message}`, { cause })
  }
}

/** A server of node:http or node:https. */
type ApiServer = Server & { closeIdleConnections(): void }

/** Opens the server. Disposing it closes idle connections at once, and busy ones when they are done or after `drainMs`. */
export async function listen(server: ApiServer, at: ListenAddress, drainMs = 0): Promise<Listening> {
  // Includes connections that have switched protocols, which node:http no longer counts.
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const bound = await bind(server, at)
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return { ...bound, [Symbol.asyncDispose]: () => close(server, drainMs, () => server.closeIdleConnections(), cut) }
}
