import { type Agent, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { fromProblem, ShadowError, systemCode } from '../../errors.ts'

type Call = {
  method: string
  url: URL
  headers?: OutgoingHttpHeaders
  /** Sent as JSON. */
  body?: unknown
  /** Sent as bytes, in place of a body. It is read once, so such a call is not repeated. */
  content?: AsyncIterable<Uint8Array> | undefined
  signal?: AbortSignal | undefined
  agent?: Agent | undefined
}

/** An answer with status 2xx or 304, whose body is not read yet. */
export type Answer = {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: IncomingMessage
}

/**
 * Calls an API over node:http (fetch takes 15 ms to load, and twice the CPU for each call). An answer with a problem document is thrown as the
 * ShadowError in it. If the server cannot be reached, the system's own error is thrown, and the caller wraps it.
 */
export async function call(input: Call): Promise<Answer> {
  const { method, url } = input
  // A server may close a kept connection while a request is on its way. Every call of our API may be repeated: at worst, a repeated
  // registration is told that the name is taken.
  const response = await send(input)
    .catch((failure: Failure) =>
      failure.isStale && input.content === undefined ? send(input) : Promise.reject(failure),
    )
    .catch(({ error }: Failure) => Promise.reject(error))
  const status = response.statusCode ?? 0
  if ((status >= 200 && status < 300) || status === 304) return { status, headers: response.headers, body: response }
  const said = await text(response)
  if (input.content !== undefined) response.destroy() // what is left of the content is not sent
  throw (
    fromProblem(parsed(said)) ??
    withoutBody(response) ??
    new ShadowError('internal', `${method} ${url.href} answered ${status}: ${said.slice(0, 500)}`)
  )
}

/** An answer to HEAD says in a header alone which failure it was. */
function withoutBody({ headers, statusCode }: IncomingMessage): ShadowError | undefined {
  const code = headers['x-shadow-error']?.toString() ?? ''
  return fromProblem({ code, detail: `the answer was ${statusCode} ${code}` })
}

/** `isStale`: the server closed a kept connection before it had answered. */
type Failure = { readonly error: unknown; readonly isStale: boolean }

/** Sends the request and resolves with the head of the answer; rejects with a `Failure`. */
function send({ method, url, headers = {}, body, content, signal, agent }: Call): Promise<IncomingMessage> {
  const payload = body === undefined ? undefined : JSON.stringify(body)
  return new Promise<IncomingMessage>((resolve, reject) => {
    const start = url.protocol === 'https:' ? httpsRequest : httpRequest
    const request = start(url, {
      method,
      agent,
      signal,
      headers: {
        accept: 'application/json, application/problem+json',
        ...(payload !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(payload),
        }),
        ...(content !== undefined && { 'content-type': 'application/octet-stream' }),
        ...headers,
      },
    })
    const fail = (error: Error): void => {
      const isStale = request.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(systemCode(error) ?? '')
      reject(signal?.aborted ? { error: signal.reason, isStale: false } : { error, isStale })
    }
    request.on('response', resolve).on('error', fail)
    if (content === undefined) request.end(payload)
    // A server may refuse the call before it has read all: then its answer counts, and not that the rest cannot be sent.
    else pipeline(Readable.from(content, { objectMode: false }), request).catch(fail)
  })
}

/** Parses the answer's body as JSON; undefined if it is empty. */
export async function json(answer: Answer): Promise<unknown> {
  const said = await text(answer.body)
  return said === '' ? undefined : parsed(said)
}

function parsed(said: string): unknown {
  try {
    return JSON.parse(said)
  } catch {
    return undefined // the caller reports status and text of an answer that is no JSON
  }
}
