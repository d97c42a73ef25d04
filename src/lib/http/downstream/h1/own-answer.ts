import { STATUS_CODES, validateHeaderValue } from 'node:http'
import type { OwnAnswer } from '../../exchange.ts'
import type { Scratch } from '../../sockets/buffers.ts'
import { httpDate } from '../../wire/date.ts'

/** What of an answer its request and its connection tell. */
type Terms = {
  /** The connection ends with it. */
  readonly closes: boolean
  /** The connection goes on, which a client of HTTP/1.0 has to be told. */
  readonly keepsAlive: boolean
  /** It answers HEAD: its body is told of and left out. */
  readonly isHead: boolean
}

/** Puts an answer of our own together, the headers `own` before the answer's. Throws for a header value that is none. */
export function composeOwnAnswer(
  out: Scratch,
  { status, headers, body = '' }: OwnAnswer,
  own: Readonly<Record<string, string>>,
  { closes, keepsAlive, isHead }: Terms,
): void {
  const bytes = Buffer.from(body)
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nDate: ${httpDate()}\r\n`
  for (const [name, value] of Object.entries({ ...own, ...headers })) {
    validateHeaderValue(name, value)
    text += `${name}: ${value}\r\n`
  }
  if (status !== 204 && status !== 304) text += `Content-Length: ${bytes.length}\r\n`
  if (closes) text += 'Connection: close\r\n'
  else if (keepsAlive) text += 'Connection: keep-alive\r\n'
  out.text(`${text}\r\n`)
  if (!isHead) out.copy(bytes, 0, bytes.length)
}
