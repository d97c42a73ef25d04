import { COLON, CR, isText, SPACE } from './bytes.ts'
import { Field } from './fields.ts'
import type { Head } from './head.ts'
import { tokens } from './list-elements.ts'
import { WHOLE } from './parse-outcome.ts'
import { checkHost } from './start-line.ts'
import { isOurs } from './via.ts'

/** Interprets a header that frames the message or concerns the connection, and records its meaning in the head. */
export function interpretField(head: Head, field: Field, bytes: Buffer, from: number, to: number): number {
  switch (field) {
    case Field.contentLength:
      if (head.contentLength >= 0) return head.refuse(400, 'more than one Content-Length')
      if (head.chunked) return head.refuse(400, 'both Content-Length and Transfer-Encoding')
      if (!isBare(bytes, from, to)) {
        if (!head.isAnswer) return head.refuse(400, 'white space around a Content-Length')
        head.hasPaddedFraming = true
      }
      head.contentLength = decimal(bytes, from, to)
      return head.contentLength < 0 ? head.refuse(400, 'a Content-Length that is not a number') : WHOLE
    case Field.transferEncoding:
      if (head.contentLength >= 0) return head.refuse(400, 'both Content-Length and Transfer-Encoding')
      if (head.chunked) return head.refuse(400, 'more than one Transfer-Encoding')
      if (!isBare(bytes, from, to)) {
        if (!head.isAnswer) return head.refuse(400, 'white space around a Transfer-Encoding')
        head.hasPaddedFraming = true
      }
      head.chunked = isText(bytes, from, to, 'chunked')
      return head.chunked ? WHOLE : head.refuse(400, 'a Transfer-Encoding other than chunked')
    case Field.host:
      if (head.isAnswer) return WHOLE // Host means nothing in an answer
      if (head.hasHost) return head.refuse(400, 'more than one Host')
      head.hasHost = true
      if (head.plainTarget) {
        head.hostStart = from - head.base
        head.hostEnd = to - head.base
      }
      return checkHost(head, bytes, from, to)
    case Field.connection:
      connection(head, bytes, from, to)
      return WHOLE
    case Field.upgrade:
      head.upgradeOffered ||= !isText(bytes, from, to, 'h2c') && !isText(bytes, from, to, 'h2')
      return WHOLE
    case Field.date:
      head.hasDate = true
      return WHOLE
    case Field.hsts:
      head.hasHsts = true
      return WHOLE
    case Field.expect:
      if (head.isAnswer) return WHOLE
      head.expects = true
      return isText(bytes, from, to, '100-continue') ? WHOLE : head.refuse(417, 'an Expect other than 100-continue')
    case Field.te:
      for (const [start, end] of tokens(bytes, from, to)) head.takesTrailers ||= isText(bytes, start, end, 'trailers')
      return WHOLE
    case Field.via:
      for (const [start, end] of tokens(bytes, from, to)) if (isOurs(bytes, start, end)) head.passes += 1
      return WHOLE
    default:
      return WHOLE
  }
}

function connection(head: Head, bytes: Buffer, from: number, to: number): void {
  if (isText(bytes, from, to, 'keep-alive')) {
    head.keepsAlive = true // the common case is not parsed as a list
    return
  }
  for (const [start, end] of tokens(bytes, from, to)) {
    if (isText(bytes, start, end, 'keep-alive')) head.keepsAlive = true
    else if (isText(bytes, start, end, 'close')) head.closes = true
    else if (isText(bytes, start, end, 'upgrade')) head.upgradeNamed = true
    else head.nominates = true
  }
}

/** Tells whether only one space, or nothing, surrounds the value. Parsers differ in what other white space they trim. */
function isBare(bytes: Uint8Array, from: number, to: number): boolean {
  return bytes[to] === CR && (bytes[from - 1] === COLON || (bytes[from - 1] === SPACE && bytes[from - 2] === COLON))
}

/** Parses decimal digits; -1 for anything else, and for a number that a double does not hold exactly. */
function decimal(bytes: Uint8Array, from: number, to: number): number {
  if (to === from || to - from > 15) return -1
  let value = 0
  for (let at = from; at < to; at += 1) {
    const digit = (bytes[at] as number) - 0x30
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}
