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

/** Puts the head of the request together as the upstream gets it: the client's own bytes, with what a hop drops left out. */
export function composeRequest(out: OutputBuffer, head: Head, hop: NextHop, origin: ClientOrigin): void {
  const { bytes, base } = head
  const ours = added(hop.requestHeaders)
  const claims = DROPPED_CLAIMS[hop.forwarded]
  const named = head.nominates ? namesInConnection(head) : undefined
  const dropsExpect = hop.expect === 'answer' || head.minor === 0
  let run = base + head.lineStart
  if (!head.plainTarget || head.minor === 0) {
    out.text(`${head.method} ${head.target} HTTP/1.1\r\n`)
    // A request of HTTP/1.0 may name no host; one of HTTP/1.1 then has an empty Host (RFC 9112, 3.2).
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
      isDropped(head, slot, field, hop.strip, ours, named)
    ) {
      const line = base + head.nameStart(slot)
      if (line > run) out.copy(bytes, run, line)
      run = base + head.lineEnd(slot)
    }
  }
  if (base + head.length - 2 > run) out.copy(bytes, run, base + head.length - 2)
  if (hop.forwarded !== 'keep') addForwarded(out, head, hop, origin)
  // In the one spelling that every server knows: to one that goes by case, `CHUNKED` is no framing.
  if (head.chunked) out.text('Transfer-Encoding: chunked\r\n')
  else if (head.contentLength < 0 && saysItHasNoBody(head.method)) out.text('Content-Length: 0\r\n')
  if (head.takesTrailers) out.text('TE: trailers\r\n')
  if (head.wantsUpgrade) out.text(switchTo(head))
  if (hop.expect === 'ask' && head.requestFraming !== 'none' && !head.expects) out.text('Expect: 100-continue\r\n')
  if (ours !== undefined) out.copy(ours.bytes, 0, ours.bytes.length)
  out.lineEnd()
}

/** How an answer differs from what the upstream sent. */
export type AnswerChanges = {
  /** The connection to the client ends with this answer: it says so. */
  readonly closes: boolean
  /** The connection goes on, which a client of HTTP/1.0 has to be told. */
  readonly keepsAlive: boolean
  /** It is not framed: to be chunked for the client. */
  readonly chunks: boolean
  /** It is chunked, and its client knows no chunks: the end of the connection ends it. */
  readonly unchunks: boolean
}

/** An answer that goes on as it came. */
export const UNCHANGED: AnswerChanges = { closes: false, keepsAlive: false, chunks: false, unchunks: false }

/** Puts the head of the answer together as the client gets it: the app's own bytes, with a `Date` where it sent none (RFC 9110, 6.6.1). */
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
  // In the one spelling that no client reads differently.
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

/** The lines that ask to switch protocols, or say that it is done; they are of each hop, which takes over what is asked for. */
const switchTo = (head: Head): string => `Connection: Upgrade\r\nUpgrade: ${head.list('upgrade') ?? ''}\r\n`

/** Copies up to the end of a name, and leaves out the white space before its colon (RFC 9112, 5.1); gives where to copy on from. */
function copyName(out: OutputBuffer, head: Head, slot: number, run: number): number {
  const { bytes, base } = head
  const end = base + head.nameEnd(slot)
  if (bytes[end] === COLON) return run
  out.copy(bytes, run, end)
  return bytes.indexOf(COLON, end)
}

/** Puts trailers together, without what frames, routes or belongs to the hop (RFC 9110, 6.5.1). */
export function composeTrailers(out: OutputBuffer, trailers: Head, hop: NextHop): void {
  for (let slot = 0; slot < trailers.count; slot += 1) {
    const field = trailers.field(slot)
    if (!mayTrail(trailers, field) || isDropped(trailers, slot, field, hop.strip, undefined, undefined)) continue
    const from = copyName(out, trailers, slot, trailers.base + trailers.nameStart(slot))
    out.copy(trailers.bytes, from, trailers.base + trailers.lineEnd(slot))
  }
  out.lineEnd()
}

/** Whether a trailer of this kind may pass. */
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
  // Beside X-Forwarded-* of a proxy that says no more, ours alone would claim that the proxy is the client.
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
