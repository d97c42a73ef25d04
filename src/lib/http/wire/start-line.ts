import { CR, HOST, isText, LF, SPACE, TARGET, TOKEN, VALUE } from './bytes.ts'
import type { Head } from './head.ts'
import { LONGEST_METHOD, readMethod } from './methods.ts'
import { type HeadLimits, MORE, WHOLE } from './parse-outcome.ts'

/** Parses the request line (RFC 9112, 3). */
export function requestLine(head: Head, bytes: Buffer, base: number, end: number, { lineBytes }: HeadLimits): number {
  let at = base
  // One empty line may precede a request (RFC 9112, 2.2).
  if (at < end && bytes[at] === CR) {
    if (at + 1 === end) return MORE
    if (bytes[at + 1] !== LF) return head.refuse(400, 'a CR without LF')
    at += 2
  }
  const start = at
  head.lineStart = start - base
  while (at < end && TOKEN[bytes[at] as number] === 1) at += 1
  if (at - start > LONGEST_METHOD) return head.refuse(501, 'an unknown method')
  if (at === end) return MORE
  if (bytes[at] !== SPACE || at === start) return head.refuse(400, 'no method and one space before the target')
  head.method = readMethod(bytes, start, at)
  if (head.method === '') return head.refuse(501, 'an unknown method')
  if (head.method === 'CONNECT') return head.refuse(405, 'CONNECT is not served')
  at += 1
  const target = at
  while (at < end && TARGET[bytes[at] as number] === 1) at += 1
  if (at - start > lineBytes) return head.refuse(414, `the request line is longer than ${lineBytes} bytes`)
  if (at === end) return MORE
  if (bytes[at] !== SPACE) return head.refuse(400, 'a byte in the target that no target has')
  head.targetStart = target - base
  head.targetEnd = at - base
  at += 1
  if (at + 10 > end) return isPrefix(bytes, at, end, 'HTTP/') ? MORE : head.refuse(400, 'no HTTP version')
  const code = version(head, bytes, at)
  if (code !== WHOLE) return code
  at += 8
  if (bytes[at] !== CR || bytes[at + 1] !== LF) return head.refuse(400, 'the request line does not end in CR LF')
  head.at = at + 2 - base
  return checkTarget(head, bytes, base)
}

/** Parses the status line (RFC 9112, 4). */
export function statusLine(head: Head, bytes: Buffer, base: number, end: number, { lineBytes }: HeadLimits): number {
  let at = base
  if (end - at < 13) return isPrefix(bytes, at, end, 'HTTP/') ? MORE : head.refuse(400, 'no HTTP version')
  const code = version(head, bytes, at)
  if (code !== WHOLE) return code
  at += 8
  if (bytes[at] !== SPACE) return head.refuse(400, 'no space before the status')
  let status = 0
  for (at += 1; at < base + 12; at += 1) {
    const digit = (bytes[at] as number) - 0x30
    if (digit < 0 || digit > 9) return head.refuse(400, 'the status is not a number')
    status = status * 10 + digit
  }
  if (status < 100) return head.refuse(400, 'the status is below 100')
  head.status = status
  if (bytes[at] === SPACE) {
    at += 1
    while (at < end && VALUE[bytes[at] as number] === 1) at += 1
    if (at - base > lineBytes) return head.refuse(400, 'the status line is too long')
  }
  if (at + 1 >= end) return MORE
  if (bytes[at] !== CR || bytes[at + 1] !== LF) return head.refuse(400, 'the status line does not end in CR LF')
  head.at = at + 2 - base
  return WHOLE
}

/** Refuses bytes that cannot be a host with its port. */
export function checkHost(head: Head, bytes: Buffer, from: number, to: number): number {
  if (from === to) return head.refuse(400, 'an empty host')
  for (let at = from; at < to; at += 1) {
    if (HOST[bytes[at] as number] === 0) return head.refuse(400, 'a byte in the host that no host has')
  }
  return WHOLE
}

function version(head: Head, bytes: Buffer, at: number): number {
  if (!isPrefix(bytes, at, at + 5, 'HTTP/') || bytes[at + 6] !== 0x2e) return head.refuse(400, 'no HTTP version')
  const minor = (bytes[at + 7] as number) - 0x30
  if (bytes[at + 5] !== 0x31 || minor < 0 || minor > 1) return head.refuse(505, 'neither HTTP/1.1 nor HTTP/1.0')
  head.minor = minor
  return WHOLE
}

/** Accepts the origin form, the absolute form, and `*` of OPTIONS (RFC 9112, 3.2). Of the absolute form it finds host and path. */
function checkTarget(head: Head, bytes: Buffer, base: number): number {
  const start = base + head.targetStart
  const end = base + head.targetEnd
  if (bytes[start] === 0x2f) return WHOLE
  if (end - start === 1 && bytes[start] === 0x2a && head.method === 'OPTIONS') return WHOLE
  const scheme = isText(bytes, start, start + 7, 'http://') ? 7 : isText(bytes, start, start + 8, 'https://') ? 8 : 0
  if (scheme === 0 || start + scheme >= end) return head.refuse(400, 'the target is neither a path nor a URL')
  let at = start + scheme
  while (at < end && bytes[at] !== 0x2f && bytes[at] !== 0x3f) at += 1
  head.hostStart = start + scheme - base
  head.hostEnd = head.targetStart = at - base
  head.plainTarget = false
  head.emptyPath = at === end || bytes[at] === 0x3f
  return checkHost(head, bytes, start + scheme, at)
}

/** Tells whether the bytes that have come are the beginning of the text. */
function isPrefix(bytes: Uint8Array, from: number, to: number, text: string): boolean {
  for (let at = from; at < to && at - from < text.length; at += 1) {
    if (bytes[at] !== text.charCodeAt(at - from)) return false
  }
  return true
}
