import { Agent, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ShadowError } from '../lib/errors.ts'
import { MutualAgent } from '../lib/tls/agent.ts'
import type { ClientTls } from '../lib/tls/credentials.ts'

type Access = { readonly url: string; readonly token?: string | undefined; readonly tls?: ClientTls | undefined }
type Asked = {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly headers: OutgoingHttpHeaders
  /** Left out where the request has none. */
  readonly content?: AsyncIterable<Uint8Array> | undefined
}

/** Sends a request of a protocol that is not our own API, and resolves with the answer, whatever its status is. */
export type MasterStream = (asked: Asked, signal: AbortSignal) => Promise<IncomingMessage>

/** Requests to a master with what this machine shows to it. Fails with `master-unreachable`. */
export function masterStream({ url: base, token, tls }: Access): MasterStream {
  const agent = new Agent({ keepAlive: true })
  const mutual = tls && new MutualAgent(tls)
  return ({ method, target, headers, content }, signal) => {
    const url = new URL(target, base)
    const isSecure = url.protocol === 'https:'
    const answered = Promise.withResolvers<IncomingMessage>()
    const request = (isSecure ? httpsRequest : httpRequest)(url, {
      method,
      agent: isSecure ? mutual?.current : agent,
      signal,
      headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    })
    const fail = (cause: Error): void =>
      answered.reject(
        signal.aborted
          ? signal.reason
          : new ShadowError('master-unreachable', `${url.origin} does not answer: ${cause.message}`, { cause }),
      )
    request.on('response', answered.resolve).on('error', fail)
    if (content === undefined) request.end()
    // A server may refuse before it has read all: then its answer counts.
    else pipeline(Readable.from(content, { objectMode: false }), request).catch(fail)
    return answered.promise
  }
}
