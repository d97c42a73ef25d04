import type { IncomingMessage } from 'node:http'
import type { Hop } from '../upstream-target.ts'
import { Field, fieldOf } from '../wire/fields.ts'
import { endToEnd, type RawHeaders, tellOrigin, valuesOf } from './headers.ts'

/** A request's head as it is sent to the upstream. */
export type RequestHead = {
  readonly method: string
  readonly path: string
  readonly headers: RawHeaders
  readonly hasBody: boolean
  /** What it asks to switch to. */
  readonly upgrade: string | undefined
  /** Whether the body waits until the upstream says to go on. */
  readonly asks: boolean
}

/** Whether a body comes with the request (RFC 9112, 6.3). */
export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

/** Whether the request is one to switch protocols, which the server gave us as such. */
export const isUpgrade = (request: IncomingMessage): boolean => (request as { upgrade?: unknown }).upgrade === true

/** The head to send for this request. */
export function requestHead(request: IncomingMessage, hop: Hop): RequestHead {
  const body = hasBody(request)
  const chunked = request.headers['transfer-encoding'] !== undefined
  const upgrade = isUpgrade(request) ? request.headers.upgrade : undefined
  const asks = hop.expect === 'ask' && body && request.headers.expect === undefined
  const dropExpect = hop.expect === 'answer'
  const added = Object.entries(hop.requestHeaders ?? {})
  const names = new Set(added.map(([name]) => name.toLowerCase()))
  const stripped = stripsFolded(hop)
  const kept = endToEnd(
    request.rawHeaders,
    name =>
      stripped(name) ||
      names.has(name) ||
      (dropExpect && name === 'expect') ||
      // Trailers come with chunked bodies alone.
      (!chunked && name === 'trailer'),
  )
  const headers = hop.forwarded === 'keep' ? kept : tellOrigin(kept, request, hop.forwarded)
  if (valuesOf(request.rawHeaders, 'te').some(value => /\btrailers\b/i.test(value))) headers.push('TE', 'trailers')
  if (upgrade !== undefined) headers.push('Connection', 'Upgrade', 'Upgrade', upgrade)
  // Framed as it came: node:http would leave out the framing of a chunked DELETE (a way to smuggle), and add one to an empty POST.
  if (chunked) headers.push('Transfer-Encoding', 'chunked')
  else if (request.headers['content-length'] === undefined && !BODILESS.has(request.method ?? ''))
    headers.push('Content-Length', '0')
  if (asks) headers.push('Expect', '100-continue')
  headers.push(...added.flat())
  return { method: request.method ?? '', path: request.url ?? '/', headers, hasBody: body, upgrade, asks }
}

const HSTS = 'strict-transport-security'
const BODILESS = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT'])

/** The headers of the answer as the client gets them; its framing is left to the server. */
export function answerHeaders(answer: IncomingMessage, hop: Hop): string[] {
  const chunked = answer.headers['transfer-encoding'] !== undefined
  const stripped = strips(hop)
  const bare = answer.statusCode === 204 // which has no framing (RFC 9110, 8.6)
  const kept = endToEnd(
    answer.rawHeaders,
    name => stripped(name) || (!chunked && name === 'trailer') || (bare && name === 'content-length'),
  )
  const hsts = hop.hsts !== undefined && valuesOf(kept, HSTS).length === 0 ? [HSTS, hop.hsts] : []
  return [...kept, ...hsts, ...Object.entries(hop.responseHeaders ?? {}).flat()]
}

/** Whether headers of a request with this name never cross the hop: also where apps would take it for such a name. */
export function stripsFolded(hop: Hop): (name: string) => boolean {
  const strip = strips(hop)
  return name =>
    strip(name.replaceAll('_', '-')) || fieldOf(Buffer.from(name, 'latin1'), 0, name.length) === Field.folded
}

/** Whether headers of this name never cross the hop. */
export function strips(hop: Hop): (name: string) => boolean {
  const prefix = hop.strip
  return prefix === undefined ? () => false : name => name.startsWith(prefix)
}
