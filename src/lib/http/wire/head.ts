import { isOurs, LOOP, MOST_PASSES } from '../via.ts'
import { COLON, CR, copy, HOST, isText, LF, SPACE, TAB, TARGET, TOKEN, VALUE } from './bytes.ts'
import { Field, fieldOf } from './fields.ts'
import { LONGEST_METHOD, readMethod } from './methods.ts'

/** What parsing a head comes to, besides the status of a refusal. */
export const MORE = 0
export const WHOLE = 1

export type HeadLimits = {
  /** The whole head, in bytes; beyond it 431. */
  readonly headBytes: number
  /** The request line, in bytes; beyond it 414. */
  readonly lineBytes: number
  readonly headers: number
}

export const HEAD_LIMITS: HeadLimits = { headBytes: 32_768, lineBytes: 16_384, headers: 128 }

/** How a body's end is told (RFC 9112, 6.3). */
export type Framing = 'none' | 'length' | 'chunked' | 'close'

const SLOT = 5

/**
 * The head of one message (RFC 9112, 2 to 6), parsed strictly in one pass; what two parsers could read differently is refused.
 * Headers are kept as offsets into the bytes and become strings only when asked for. A head that comes in pieces is parsed on
 * from its last whole line, so a dripping client costs no more than its bytes.
 */
export class Head {
  bytes: Buffer = Buffer.alloc(0)
  base = 0
  /** Bytes of the whole head, its empty line included. */
  length = 0
  count = 0
  /** Why it was refused. */
  fault = ''

  method = ''
  /** Where the start line begins: an empty line may stand before it. */
  lineStart = 0
  /** The path and query in the request line; for the absolute form without scheme and authority. */
  targetStart = 0
  targetEnd = 0
  /** false: the request line has to be written anew (absolute form). */
  plainTarget = true
  /** true: the absolute form named no path. */
  emptyPath = false
  status = 0
  minor = 1

  chunked = false
  contentLength = -1
  closes = false
  keepsAlive = false
  wantsUpgrade = false
  expects = false
  takesTrailers = false
  /** `Connection` names other headers as hop-by-hop. */
  nominates = false
  /** Where the host is that was asked for: in the absolute form, else in Host (RFC 9112, 3.2.2 and 7.2 of RFC 9110). -1: it names none. */
  hostStart = -1
  hostEnd = -1

  #slots = new Int32Array(SLOT * 32)
  #own: Buffer | undefined
  #at = 0
  #upgradeNamed = false
  #hasUpgrade = false
  #hasHost = false
  /** How often it came by here already. */
  #passes = 0
  readonly #limits: HeadLimits

  constructor(limits: HeadLimits = HEAD_LIMITS) {
    this.#limits = limits
  }

  /** Makes it ready for another message. */
  reset(): void {
    this.bytes = NOTHING
    this.base = this.length = this.count = this.lineStart = this.#at = this.#passes = 0
    this.status = 0
    this.minor = 1
    this.plainTarget = true
    this.emptyPath = this.chunked = this.closes = this.keepsAlive = this.wantsUpgrade = false
    this.expects = this.takesTrailers = this.nominates = false
    this.#upgradeNamed = this.#hasUpgrade = this.#hasHost = false
    this.contentLength = this.hostStart = this.hostEnd = -1
  }

  /** MORE, WHOLE, or the status to refuse with. Call again with the same bytes and more of them after MORE. */
  parseRequest(bytes: Buffer, base: number, end: number): number {
    this.bytes = bytes
    this.base = base
    let code = this.#at === 0 ? this.#requestLine(bytes, base, end) : WHOLE
    if (code === WHOLE) code = this.#fields(bytes, base, end, true)
    return code === WHOLE ? this.#judgeRequest() : code
  }

  /** The same for the head of an answer. */
  parseResponse(bytes: Buffer, base: number, end: number): number {
    this.bytes = bytes
    this.base = base
    let code = this.#at === 0 ? this.#statusLine(bytes, base, end) : WHOLE
    if (code === WHOLE) code = this.#fields(bytes, base, end, true)
    if (code !== WHOLE) return code
    if (this.chunked && this.minor === 0) return this.#refuse(400, 'Transfer-Encoding in HTTP/1.0')
    if (this.status < 200 && this.closes) return this.#refuse(400, 'an interim answer that ends the connection')
    return WHOLE
  }

  /** The same for the headers after a chunked body, which frame nothing. */
  parseTrailers(bytes: Buffer, base: number, end: number): number {
    this.bytes = bytes
    this.base = base
    return this.#fields(bytes, base, end, false)
  }

  /** Copies the head to memory of its own, since what it was read into is about to be used again. */
  keep(): void {
    let own = this.#own
    if (own === undefined || own.length < this.length)
      own = this.#own = Buffer.allocUnsafeSlow(Math.max(2_048, this.length))
    copy(this.bytes, this.base, this.base + this.length, own, 0)
    this.bytes = own
    this.base = 0
  }

  /** How the body of this request is framed. */
  get requestFraming(): Framing {
    return this.chunked ? 'chunked' : this.contentLength > 0 ? 'length' : 'none'
  }

  /** How the body of this answer is framed, by the method it answers. */
  responseFraming(method: string): Framing {
    const { status } = this
    if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 'none'
    if (this.chunked) return 'chunked'
    return this.contentLength > 0 ? 'length' : this.contentLength === 0 ? 'none' : 'close'
  }

  /** Offsets, from the base, of the header in this slot. */
  nameStart(slot: number): number {
    return this.#slots[slot * SLOT] as number
  }
  nameEnd(slot: number): number {
    return this.#slots[slot * SLOT + 1] as number
  }
  valueStart(slot: number): number {
    return this.#slots[slot * SLOT + 2] as number
  }
  valueEnd(slot: number): number {
    return this.#slots[slot * SLOT + 3] as number
  }
  field(slot: number): Field {
    return this.#slots[slot * SLOT + 4] as Field
  }
  /** Where the line after the header in this slot begins. */
  lineEnd(slot: number): number {
    return slot + 1 < this.count ? this.nameStart(slot + 1) : this.length - 2
  }
  name(slot: number): string {
    return this.text(this.nameStart(slot), this.nameEnd(slot))
  }
  value(slot: number): string {
    return this.text(this.valueStart(slot), this.valueEnd(slot))
  }
  text(from: number, to: number): string {
    return this.bytes.toString('latin1', this.base + from, this.base + to)
  }

  /** The path and query that were asked for. */
  get target(): string {
    const path = this.text(this.targetStart, this.targetEnd)
    if (!this.emptyPath) return path
    return this.method === 'OPTIONS' && path === '' ? '*' : `/${path}`
  }

  /** The host that was asked for, with its port. */
  get host(): string | undefined {
    return this.hostStart < 0 ? undefined : this.text(this.hostStart, this.hostEnd)
  }

  /** The first value of the header with this name, which is in lower case. */
  header(name: string): string | undefined {
    for (let slot = 0; slot < this.count; slot += 1) {
      if (isText(this.bytes, this.base + this.nameStart(slot), this.base + this.nameEnd(slot), name))
        return this.value(slot)
    }
    return undefined
  }

  #refuse(status: number, fault: string): number {
    this.fault = fault
    return status
  }

  #requestLine(bytes: Buffer, base: number, end: number): number {
    const { lineBytes } = this.#limits
    let at = base
    // One empty line may stand before a request (RFC 9112, 2.2).
    if (at < end && bytes[at] === CR) {
      if (at + 1 === end) return MORE
      if (bytes[at + 1] !== LF) return this.#refuse(400, 'a CR without LF')
      at += 2
    }
    const start = at
    this.lineStart = start - base
    while (at < end && TOKEN[bytes[at] as number] === 1) at += 1
    if (at - start > LONGEST_METHOD) return this.#refuse(501, 'an unknown method')
    if (at === end) return MORE
    if (bytes[at] !== SPACE || at === start) return this.#refuse(400, 'no method and one space before the target')
    this.method = readMethod(bytes, start, at)
    if (this.method === '') return this.#refuse(501, 'an unknown method')
    if (this.method === 'CONNECT') return this.#refuse(405, 'CONNECT is not served')
    at += 1
    const target = at
    while (at < end && TARGET[bytes[at] as number] === 1) at += 1
    if (at - start > lineBytes) return this.#refuse(414, `the request line is longer than ${lineBytes} bytes`)
    if (at === end) return MORE
    if (bytes[at] !== SPACE) return this.#refuse(400, 'a byte in the target that no target has')
    this.targetStart = target - base
    this.targetEnd = at - base
    at += 1
    if (at + 10 > end) return isPrefix(bytes, at, end, 'HTTP/') ? MORE : this.#refuse(400, 'no HTTP version')
    const code = this.#version(bytes, at)
    if (code !== WHOLE) return code
    at += 8
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return this.#refuse(400, 'the request line does not end in CR LF')
    this.#at = at + 2 - base
    return this.#judgeTarget(bytes, base)
  }

  #statusLine(bytes: Buffer, base: number, end: number): number {
    let at = base
    if (end - at < 13) return isPrefix(bytes, at, end, 'HTTP/') ? MORE : this.#refuse(400, 'no HTTP version')
    const code = this.#version(bytes, at)
    if (code !== WHOLE) return code
    at += 8
    if (bytes[at] !== SPACE) return this.#refuse(400, 'no space before the status')
    let status = 0
    for (at += 1; at < base + 12; at += 1) {
      const digit = (bytes[at] as number) - 0x30
      if (digit < 0 || digit > 9) return this.#refuse(400, 'the status is not a number')
      status = status * 10 + digit
    }
    if (status < 100) return this.#refuse(400, 'the status is below 100')
    this.status = status
    if (bytes[at] === SPACE) {
      at += 1
      while (at < end && VALUE[bytes[at] as number] === 1) at += 1
      if (at - base > this.#limits.lineBytes) return this.#refuse(400, 'the status line is too long')
    }
    if (at + 1 >= end) return MORE
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return this.#refuse(400, 'the status line does not end in CR LF')
    this.#at = at + 2 - base
    return WHOLE
  }

  #version(bytes: Buffer, at: number): number {
    if (!isPrefix(bytes, at, at + 5, 'HTTP/') || bytes[at + 6] !== 0x2e) return this.#refuse(400, 'no HTTP version')
    const minor = (bytes[at + 7] as number) - 0x30
    if (bytes[at + 5] !== 0x31 || minor < 0 || minor > 1) return this.#refuse(505, 'neither HTTP/1.1 nor HTTP/1.0')
    this.minor = minor
    return WHOLE
  }

  /** The origin form as it is, the absolute form without its authority, and `*` of OPTIONS (RFC 9112, 3.2). */
  #judgeTarget(bytes: Buffer, base: number): number {
    const start = base + this.targetStart
    const end = base + this.targetEnd
    if (bytes[start] === 0x2f) return WHOLE
    if (end - start === 1 && bytes[start] === 0x2a && this.method === 'OPTIONS') return WHOLE
    const scheme = isText(bytes, start, start + 7, 'http://') ? 7 : isText(bytes, start, start + 8, 'https://') ? 8 : 0
    if (scheme === 0 || start + scheme >= end) return this.#refuse(400, 'the target is neither a path nor a URL')
    let at = start + scheme
    while (at < end && bytes[at] !== 0x2f && bytes[at] !== 0x3f) at += 1
    this.hostStart = start + scheme - base
    this.hostEnd = this.targetStart = at - base
    this.plainTarget = false
    this.emptyPath = at === end || bytes[at] === 0x3f
    return this.#judgeHost(bytes, start + scheme, at)
  }

  #fields(bytes: Buffer, base: number, end: number, framed: boolean): number {
    const { headBytes, headers } = this.#limits
    let at = base + this.#at
    for (;;) {
      this.#at = at - base
      if (this.#at > headBytes) return this.#refuse(431, `the head is longer than ${headBytes} bytes`)
      if (at === end) return this.#more(end - base)
      if (bytes[at] === CR) {
        if (at + 1 === end) return this.#more(end - base)
        if (bytes[at + 1] !== LF) return this.#refuse(400, 'a CR without LF')
        this.length = at + 2 - base
        return WHOLE
      }
      const name = at
      while (at < end && TOKEN[bytes[at] as number] === 1) at += 1
      if (at === end) return this.#more(end - base)
      if (bytes[at] !== COLON || at === name)
        return this.#refuse(400, 'a header line that is not a name and a colon at once')
      const nameEnd = at
      at += 1
      while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at += 1
      const value = at
      while (at < end && VALUE[bytes[at] as number] === 1) at += 1
      if (at + 1 >= end && (at === end || bytes[at] === CR)) return this.#more(end - base)
      if (bytes[at] !== CR || bytes[at + 1] !== LF)
        return this.#refuse(400, 'a byte in a header that no header has, or a line that does not end in CR LF')
      let valueEnd = at
      while (valueEnd > value && (bytes[valueEnd - 1] === SPACE || bytes[valueEnd - 1] === TAB)) valueEnd -= 1
      at += 2
      if (this.count === headers) return this.#refuse(431, `more than ${headers} headers`)
      const field = fieldOf(bytes, name, nameEnd)
      const slot = this.count * SLOT
      if (slot === this.#slots.length) this.#grow()
      const slots = this.#slots
      slots[slot] = name - base
      slots[slot + 1] = nameEnd - base
      slots[slot + 2] = value - base
      slots[slot + 3] = valueEnd - base
      slots[slot + 4] = field
      this.count += 1
      if (field !== Field.other && framed) {
        const code = this.#known(field, bytes, value, valueEnd)
        if (code !== WHOLE) return code
      }
    }
  }

  #more(seen: number): number {
    return seen > this.#limits.headBytes
      ? this.#refuse(431, `the head is longer than ${this.#limits.headBytes} bytes`)
      : MORE
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 2)
    slots.set(this.#slots)
    this.#slots = slots
  }

  /** Takes in what a header means to the framing of the message and of the connection. */
  #known(field: Field, bytes: Buffer, from: number, to: number): number {
    switch (field) {
      case Field.contentLength:
        if (this.contentLength >= 0) return this.#refuse(400, 'more than one Content-Length')
        if (this.chunked) return this.#refuse(400, 'both Content-Length and Transfer-Encoding')
        if (!isBare(bytes, from, to)) return this.#refuse(400, 'white space around a Content-Length')
        this.contentLength = decimal(bytes, from, to)
        return this.contentLength < 0 ? this.#refuse(400, 'a Content-Length that is not a number') : WHOLE
      case Field.transferEncoding:
        if (this.contentLength >= 0) return this.#refuse(400, 'both Content-Length and Transfer-Encoding')
        if (this.chunked) return this.#refuse(400, 'more than one Transfer-Encoding')
        if (!isBare(bytes, from, to)) return this.#refuse(400, 'white space around a Transfer-Encoding')
        this.chunked = isText(bytes, from, to, 'chunked')
        return this.chunked ? WHOLE : this.#refuse(400, 'a Transfer-Encoding other than chunked')
      case Field.host:
        if (this.#hasHost) return this.#refuse(400, 'more than one Host')
        this.#hasHost = true
        if (this.plainTarget) {
          this.hostStart = from - this.base
          this.hostEnd = to - this.base
        }
        return this.status > 0 ? WHOLE : this.#judgeHost(bytes, from, to)
      case Field.connection:
        this.#connection(bytes, from, to)
        return WHOLE
      case Field.upgrade:
        this.#hasUpgrade = true
        this.wantsUpgrade = this.#upgradeNamed
        return WHOLE
      case Field.expect:
        this.expects = true
        return isText(bytes, from, to, '100-continue') ? WHOLE : this.#refuse(417, 'an Expect other than 100-continue')
      case Field.te:
        for (const [start, end] of tokens(bytes, from, to)) this.takesTrailers ||= isText(bytes, start, end, 'trailers')
        return WHOLE
      case Field.via:
        for (const [start, end] of tokens(bytes, from, to)) if (isOurs(bytes, start, end)) this.#passes += 1
        return WHOLE
      default:
        return WHOLE
    }
  }

  #connection(bytes: Buffer, from: number, to: number): void {
    if (isText(bytes, from, to, 'keep-alive')) {
      this.keepsAlive = true // the common case pays for no list
      return
    }
    for (const [start, end] of tokens(bytes, from, to)) {
      if (isText(bytes, start, end, 'keep-alive')) this.keepsAlive = true
      else if (isText(bytes, start, end, 'close')) this.closes = true
      else if (isText(bytes, start, end, 'upgrade')) {
        this.#upgradeNamed = true
        this.wantsUpgrade = this.#hasUpgrade
      } else this.nominates = true
    }
  }

  #judgeHost(bytes: Buffer, from: number, to: number): number {
    if (from === to) return this.#refuse(400, 'an empty host')
    for (let at = from; at < to; at += 1) {
      if (HOST[bytes[at] as number] === 0) return this.#refuse(400, 'a byte in the host that no host has')
    }
    return WHOLE
  }

  #judgeRequest(): number {
    if (this.chunked && this.minor === 0) return this.#refuse(400, 'Transfer-Encoding in HTTP/1.0')
    if (!this.#hasHost && this.minor === 1) return this.#refuse(400, 'no Host')
    return this.#passes > MOST_PASSES ? this.#refuse(508, LOOP) : WHOLE
  }
}

const NOTHING = Buffer.alloc(0)

/** Whether the bytes that are there are how the text begins. */
function isPrefix(bytes: Uint8Array, from: number, to: number, text: string): boolean {
  for (let at = from; at < to && at - from < text.length; at += 1) {
    if (bytes[at] !== text.charCodeAt(at - from)) return false
  }
  return true
}

/** Whether a value stands after its colon, or one space, and before the end of its line: parsers differ in what else they trim. */
function isBare(bytes: Uint8Array, from: number, to: number): boolean {
  return bytes[to] === CR && (bytes[from - 1] === COLON || (bytes[from - 1] === SPACE && bytes[from - 2] === COLON))
}

/** A number of decimal digits alone that a double holds exactly, or -1. */
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

/** Start and end of each element of a list (RFC 9110, 5.6.1). */
export function* tokens(bytes: Uint8Array, from: number, to: number): Generator<[number, number]> {
  let at = from
  while (at < to) {
    while (at < to && (bytes[at] === SPACE || bytes[at] === TAB || bytes[at] === 0x2c)) at += 1
    const start = at
    while (at < to && bytes[at] !== 0x2c) at += 1
    let end = at
    while (end > start && (bytes[end - 1] === SPACE || bytes[end - 1] === TAB)) end -= 1
    if (end > start) yield [start, end]
  }
}
