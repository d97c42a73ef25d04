import type { NextHop } from '../next-hop.ts'
import type { OutputBuffer } from '../sockets/buffers.ts'
import { COLON, isText, startsWith, startsWithFolded } from '../wire/bytes.ts'
import { dateLine } from '../wire/date.ts'
import { Field } from '../wire/fields.ts'
import { asForwardedHeaders, forwardedOf } from '../wire/forwarded.ts'
import type { Head } from '../wire/head.ts'
import { HOP_BY_HOP, NEEDED, namesInConnection } from '../wire/hop-by-hop.ts'
import { saysItHasNoBody } from '../wire/methods.ts'
import { type Added, added, isAdded } from './added-headers.ts'
import type { ClientOrigin } from './client-origin.ts'

const CHAIN: readonly Field[] = [Field.forwardedFor, Field.forwarded]
const CLAIMS: readonly Field[] = [
  Field.forwardedFor,
  Field.forwardedProto,
  Field.forwardedHost,
  Field.forwarded,
  Field.claim,
]
const NONE: readonly Field[] = []
const NO_ELEMENTS: readonly string[] = []
const DROPPED_CLAIMS = { replace: CLAIMS, append: CHAIN, keep: NONE }

/**
 * Composes the head of the request for the upstream: the client's own bytes without the headers that a proxy drops, and our headers. `target`: sent
 * instead of the client's.
 */
export function composeRequest(
  out: OutputBuffer,
  head: Head,
  hop: NextHop,
  origin: ClientOrigin,
  target?: string | undefined,
): void {
  const { bytes, base } = head
  const ours = added(hop.requestHeaders)
  const claims = DROPPED_CLAIMS[hop.forwarded]
  const named = head.nominates ? namesInConnection(head) : undefined
  const { drops } = hop
  const dropsExpect = hop.expect === 'answer' || head.minor === 0
  let run = base + head.lineStart
  if (!head.plainTarget || head.minor === 0 || target !== undefined) {
    out.text(`${head.method} ${target ?? head.target} HTTP/1.1\r\n`)
    // A request of HTTP/1.0 may have no host. One of HTTP/1.1 then has an empty Host (RFC 9112, 3.2).
    if (!head.plainTarget || !head.hasHost) out.text(`Host: ${head.host ?? ''}\r\n`)
    run = base + (head.count > 0 ? head.nameStart(0) : head.length - 2)
  }
  for (let slot = 0; slot < head.count; slot += 1) {
    const field = head.field(slot)
    if (
      HOP_BY_HOP[field] ||
      field === Field.transferEncoding ||
      field === Field.folded ||
      (field === Field.trailer && !head.chunked) ||
      (field === Field.expect && dropsExpect) ||
      (field === Field.host && !head.plainTarget) ||
      (field >= Field.forwardedFor && claims.includes(field)) ||
      (drops !== undefined && isAmong(drops, head, slot)) ||
      isDropped(head, slot, field, hop.strip, ours, named)
    ) {
      const line = base + head.nameStart(slot)
      if (line > run) out.copy(bytes, run, line)
      run = base + head.lineEnd(slot)
    }
  }
  if (base + head.length - 2 > run) out.copy(bytes, run, base + head.length - 2)
  if (hop.forwarded !== 'keep') addForwarded(out, head, hop, origin)
  // In lower case: to servers that compare case, `CHUNKED` is no framing.
  if (head.chunked) out.text('Transfer-Encoding: chunked\r\n')
  else if (head.contentLength < 0 && saysItHasNoBody(head.method)) out.text('Content-Length: 0\r\n')
  if (head.takesTrailers) out.text('TE: trailers\r\n')
  if (head.wantsUpgrade) out.text(switchTo(head))
  if (hop.expect === 'ask' && head.requestFraming !== 'none' && !head.expects) out.text('Expect: 100-continue\r\n')
  if (ours !== undefined) out.copy(ours.bytes, 0, ours.bytes.length)
  out.lineEnd()
}

/** How the answer to the client differs from the upstream's. */
export type AnswerChanges = {
  /** The answer says that the client's connection ends with it. */
  readonly closes: boolean
  /** The answer says that the connection stays open, as clients of HTTP/1.0 have to be told. */
  readonly keepsAlive: boolean
  /** The upstream's answer is not framed, and is sent to the client in chunks. */
  readonly chunks: boolean
  /** The upstream's answer is chunked, and the client knows no chunks: the end of the connection ends it. */
  readonly unchunks: boolean
}

/** An answer that is forwarded as it is. */
export const UNCHANGED: AnswerChanges = { closes: false, keepsAlive: false, chunks: false, unchunks: false }

/** Composes the head of the answer for the client: the upstream's own bytes, with a `Date` if they have none (RFC 9110, 6.6.1). */
export function composeAnswer(out: OutputBuffer, head: Head, hop: NextHop, changes: AnswerChanges): void {
  const { closes, keepsAlive, chunks, unchunks } = changes
  const { bytes, base, status } = head
  const isInterim = status < 200 && status !== 101
  const ours = isInterim ? undefined : added(hop.responseHeaders)
  const named = head.nominates ? namesInConnection(head) : undefined
  const bare = status < 200 || status === 204
  const framesAnew = bare || unchunks || head.hasPaddedFraming
  let run = base
  if (head.minor === 0) {
    out.text('HTTP/1.1')
    run += 8
  }
  for (let slot = 0; slot < head.count; slot += 1) {
    const field = head.field(slot)
    if (
      HOP_BY_HOP[field] ||
      (field === Field.trailer && (!head.chunked || unchunks)) ||
      (framesAnew && (field === Field.contentLength || field === Field.transferEncoding)) ||
      isDropped(head, slot, field, hop.strip, undefined, named)
    ) {
      const line = base + head.nameStart(slot)
      if (line > run) out.copy(bytes, run, line)
      run = base + head.lineEnd(slot)
    } else if (head.hasSpacedNames) run = copyName(out, head, slot, run)
  }
  if (base + head.length - 2 > run) out.copy(bytes, run, base + head.length - 2)
  // Rewritten without white space, so that no client reads it differently.
  if (head.hasPaddedFraming && !bare && !unchunks)
    out.text(head.chunked ? 'Transfer-Encoding: chunked\r\n' : `Content-Length: ${head.contentLength}\r\n`)
  if (!head.hasDate && status >= 200) {
    const date = dateLine()
    out.copy(date, 0, date.length)
  }
  if (hop.hsts !== undefined && !head.hasHsts && !isInterim) out.text(`Strict-Transport-Security: ${hop.hsts}\r\n`)
  if (chunks) out.text('Transfer-Encoding: chunked\r\n')
  if (closes) out.text('Connection: close\r\n')
  else if (keepsAlive) out.text('Connection: keep-alive\r\n')
  if (ours !== undefined) out.copy(ours.bytes, 0, ours.bytes.length)
  if (status === 101) out.text(switchTo(head))
  out.lineEnd()
}

/** The header lines of an upgrade. They are hop-by-hop, so each proxy writes them anew. */
const switchTo = (head: Head): string => `Connection: Upgrade\r\nUpgrade: ${head.list('upgrade') ?? ''}\r\n`

/** Copies up to the end of a name, and leaves out the white space before its colon (RFC 9112, 5.1). Returns the offset of the colon. */
function copyName(out: OutputBuffer, head: Head, slot: number, run: number): number {
  const { bytes, base } = head
  const end = base + head.nameEnd(slot)
  if (bytes[end] === COLON) return run
  out.copy(bytes, run, end)
  return bytes.indexOf(COLON, end)
}

/** Composes trailers, without those that frame or route the message or are hop-by-hop (RFC 9110, 6.5.1). */
export function composeTrailers(out: OutputBuffer, trailers: Head, hop: NextHop): void {
  for (let slot = 0; slot < trailers.count; slot += 1) {
    const field = trailers.field(slot)
    if (!mayTrail(trailers, field) || isDropped(trailers, slot, field, hop.strip, undefined, undefined)) continue
    if (hop.drops !== undefined && !trailers.isAnswer && isAmong(hop.drops, trailers, slot)) continue
    const from = copyName(out, trailers, slot, trailers.base + trailers.nameStart(slot))
    out.copy(trailers.bytes, from, trailers.base + trailers.lineEnd(slot))
  }
  out.lineEnd()
}

/** Tells whether a trailer with this field is forwarded. */
export const mayTrail = ({ isAnswer }: Head, field: Field): boolean =>
  field === Field.other || field === Field.date || field === Field.hsts || (isAnswer && field === Field.folded)

function isDropped(
  head: Head,
  slot: number,
  field: Field,
  strip: string | undefined,
  ours: Added | undefined,
  named: readonly string[] | undefined,
): boolean {
  const from = head.base + head.nameStart(slot)
  const to = head.base + head.nameEnd(slot)
  if (strip !== undefined && isStripped(head, from, to, strip)) return true
  if (ours !== undefined && isAdded(ours, head.bytes, from, to)) return true
  return named !== undefined && !NEEDED[field] && named.some(name => isText(head.bytes, from, to, name))
}

function isAmong({ prefix, names }: NonNullable<NextHop['drops']>, head: Head, slot: number): boolean {
  const from = head.base + head.nameStart(slot)
  const to = head.base + head.nameEnd(slot)
  return startsWithFolded(head.bytes, from, to, prefix) || names.some(name => isText(head.bytes, from, to, name))
}

function isStripped({ bytes, isAnswer }: Head, from: number, to: number, strip: string): boolean {
  return isAnswer ? startsWith(bytes, from, to, strip) : startsWithFolded(bytes, from, to, strip)
}

function addForwarded(out: OutputBuffer, head: Head, hop: NextHop, origin: ClientOrigin): void {
  if (hop.forwarded === 'replace') {
    const lines = origin.lines(head.bytes, head.base + head.hostStart, head.base + head.hostEnd)
    out.copy(lines, 0, lines.length)
    return
  }
  const chain: string[] = []
  const elements: string[] = []
  let proto = false
  let hosted = false
  for (let slot = 0; slot < head.count; slot += 1) {
    const field = head.field(slot)
    if (field === Field.forwardedFor) chain.push(head.value(slot))
    else if (field === Field.forwarded) elements.push(head.value(slot))
    proto ||= field === Field.forwardedProto
    hosted ||= field === Field.forwardedHost
  }
  const { host } = head
  // If the proxy before us sends X-Forwarded-* only, our element of `Forwarded` alone would claim that the proxy is the client.
  if (elements.length > 0 || !(chain.length > 0 || proto || hosted))
    out.text(
      `Forwarded: ${[...elements, forwardedOf({ address: origin.address, proto: origin.proto, host })].join(', ')}\r\n`,
    )
  const said = asForwardedHeaders(chain.length > 0 ? NO_ELEMENTS : elements)
  out.text(`X-Forwarded-For: ${[...chain, ...said.chain, origin.address].join(', ')}\r\n`)
  if (!proto) out.text(`X-Forwarded-Proto: ${said.proto ?? origin.proto}\r\n`)
  if (!hosted && host !== undefined) out.text(`X-Forwarded-Host: ${said.host ?? host}\r\n`)
  out.text(origin.via)
}
