import { STATUS_CODES, validateHeaderValue } from 'node:http'
import type { OwnAnswer } from '../../exchange.ts'
import type { OutputBuffer } from '../../sockets/buffers.ts'
import { httpDate } from '../../wire/date.ts'

/** What of an answer its connection tells. */
type Terms = {
  /** The connection ends with it. */
  readonly closes: boolean
  /** The connection goes on, which a client of HTTP/1.0 has to be told. */
  readonly keepsAlive: boolean
}

/** How the body of an answer of ours is framed: by its length in bytes, in chunks, or not at all. */
export type OwnFraming = number | 'chunked' | 'none'

/** Puts a whole answer of our own together; to HEAD its body is told of and left out. Throws for a header value that is none. */
export function composeOwnAnswer(
  out: OutputBuffer,
  answer: OwnAnswer,
  own: Readonly<Record<string, string>>,
  { isHead, ...terms }: Terms & { readonly isHead: boolean },
): void {
  const { status, headers, body = '' } = answer
  const bytes = Buffer.from(body)
  composeOwnHead(out, { status, headers: { ...own, ...headers } }, isBodiless(status) ? 'none' : bytes.length, terms)
  if (!isHead) out.copy(bytes, 0, bytes.length)
}

/** Puts the head of an answer of our own together. Throws for a header value that is none. */
export function composeOwnHead(
  out: OutputBuffer,
  { status, headers = {} }: Omit<OwnAnswer, 'body'>,
  framing: OwnFraming,
  { closes, keepsAlive }: Terms,
): void {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nDate: ${httpDate()}\r\n`
  for (const [name, value] of Object.entries(headers)) {
    validateHeaderValue(name, value)
    text += `${name}: ${value}\r\n`
  }
  if (framing === 'chunked') text += 'Transfer-Encoding: chunked\r\n'
  else if (framing !== 'none') text += `Content-Length: ${framing}\r\n`
  if (closes) text += 'Connection: close\r\n'
  else if (keepsAlive) text += 'Connection: keep-alive\r\n'
  out.text(`${text}\r\n`)
}

/** Whether answers with this status have no body, and no framing of one (RFC 9110, 8.6 and 15.4.5). */
export const isBodiless = (status: number): boolean => status === 204 || status === 304
