import { fieldLines } from './field-lines.ts'
import type { Head } from './head.ts'
import { WHOLE } from './parse-outcome.ts'
import { requestLine, statusLine } from './start-line.ts'
import { LOOP, MOST_PASSES } from './via.ts'

// The parsers are strict and read a head in one pass: whatever two parsers could read differently is refused. A head that comes in pieces is
// parsed on from its last whole line, so that a client that drips costs no more than its bytes.

/**
 * Parses the head of a request: MORE, WHOLE, or the HTTP status to refuse it with (`head.fault` says why). After MORE call it again with the
 * same bytes and those that followed.
 */
export function parseRequest(head: Head, bytes: Buffer, base: number, end: number): number {
  head.bytes = bytes
  head.base = base
  let code = head.at === 0 ? requestLine(head, bytes, base, end, head.limits) : WHOLE
  if (code === WHOLE) code = fieldLines(head, bytes, base, end, head.limits, true)
  if (code !== WHOLE) return code
  if (head.chunked && head.minor === 0) return head.refuse(400, 'Transfer-Encoding in HTTP/1.0')
  if (!head.hasHost && head.minor === 1) return head.refuse(400, 'no Host')
  if (head.minor === 0) {
    head.closes ||= !head.keepsAlive
    head.expects = false // which is ignored (RFC 9110, 10.1.1)
  }
  return head.passes > MOST_PASSES ? head.refuse(508, LOOP) : WHOLE
}

/** Parses the head of an answer; the result is that of `parseRequest`. */
export function parseResponse(head: Head, bytes: Buffer, base: number, end: number): number {
  head.bytes = bytes
  head.base = base
  head.isAnswer = true
  let code = head.at === 0 ? statusLine(head, bytes, base, end, head.limits) : WHOLE
  if (code === WHOLE) code = fieldLines(head, bytes, base, end, head.limits, true)
  if (code !== WHOLE) return code
  if (head.chunked && head.minor === 0) return head.refuse(400, 'Transfer-Encoding in HTTP/1.0')
  if (head.status < 200 && head.closes) return head.refuse(400, 'an interim answer with "Connection: close"')
  return WHOLE
}

/** Parses the headers after a chunked body, which frame nothing; the result is that of `parseRequest`. */
export function parseTrailers(head: Head, bytes: Buffer, base: number, end: number, ofAnswer = false): number {
  head.bytes = bytes
  head.base = base
  head.isAnswer = ofAnswer
  return fieldLines(head, bytes, base, end, head.limits, false)
}
