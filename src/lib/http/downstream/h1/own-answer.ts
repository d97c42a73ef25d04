import { STATUS_CODES, validateHeaderValue } from 'node:http'
import type { OwnAnswer } from '../../exchange.ts'
import type { OutputBuffer } from '../../sockets/buffers.ts'
import { httpDate } from '../../wire/date.ts'

/** What an answer says about its connection. */
type Terms = {
  /** The connection ends with the answer. */
  readonly closes: boolean
  /** The connection stays open, as clients of HTTP/1.0 have to be told. */
  readonly keepsAlive: boolean
}

/** How the body of our answer is framed: by its length in bytes, in chunks, or not at all. */
export type OwnFraming = number | 'chunked' | 'none'

/** Composes an answer of our own. For HEAD its length is sent without its body. Throws for a header that is not well formed. */
export function composeOwnAnswer(
  out: OutputBuffer,
  answer: OwnAnswer,
  own: Readonly<Record<string, string>>,
  { isHead, ...terms }: Terms & { readonly isHead: boolean },
): void {
  const { status, headers, cookies, body = '' } = answer
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  const head = { status, headers: { ...own, ...headers }, cookies }
  composeOwnHead(out, head, isBodiless(status) ? 'none' : bytes.length, terms)
  if (!isHead) out.copy(bytes, 0, bytes.length)
}

/** Composes the head of an answer of our own. Throws for a header that is not well formed. */
export function composeOwnHead(
  out: OutputBuffer,
  { status, headers = {}, cookies = [] }: Omit<OwnAnswer, 'body'>,
  framing: OwnFraming,
  { closes, keepsAlive }: Terms,
): void {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nDate: ${httpDate()}\r\n`
  for (const [name, value] of Object.entries(headers)) {
    validateHeaderValue(name, value)
    text += `${name}: ${value}\r\n`
  }
  for (const cookie of cookies) {
    validateHeaderValue('set-cookie', cookie)
    text += `set-cookie: ${cookie}\r\n`
  }
  if (framing === 'chunked') text += 'Transfer-Encoding: chunked\r\n'
  else if (framing !== 'none') text += `Content-Length: ${framing}\r\n`
  if (closes) text += 'Connection: close\r\n'
  else if (keepsAlive) text += 'Connection: keep-alive\r\n'
  out.text(`${text}\r\n`)
}

/** Tells whether answers with this status have neither a body nor its framing (RFC 9110, 8.6 and 15.4.5). */
export const isBodiless = (status: number): boolean => status === 204 || status === 304
