import { copy, isText } from './bytes.ts'
import type { Field } from './fields.ts'
import { HEAD_LIMITS, type HeadLimits } from './parse-outcome.ts'

export { HEAD_LIMITS, type HeadLimits, MORE, WHOLE } from './parse-outcome.ts'

/** How a body's end is told (RFC 9112, 6.3). */
export type Framing = 'none' | 'length' | 'chunked' | 'close'

const SLOT = 5

/**
 * The head of one message (RFC 9112, 2 to 6), as the functions of parse.ts read it. Headers are kept as offsets into the bytes, and become
 * strings only when asked for.
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
  expects = false
  takesTrailers = false
  /** `Connection` names other headers as hop-by-hop. */
  nominates = false
  /** It is an answer: white space that no request may have is taken from it, and left out (RFC 9112, 5.1). */
  isAnswer = false
  /** An answer with white space before a colon. */
  hasSpacedNames = false
  /** An answer with more white space around its Content-Length or Transfer-Encoding than one space before it. */
  hasPaddedFraming = false
  hasDate = false
  hasHsts = false
  /** Where the host is that was asked for: in the absolute form, else in Host (RFC 9112, 3.2.2 and 7.2 of RFC 9110). -1: it names none. */
  hostStart = -1
  hostEnd = -1

  #slots = new Int32Array(SLOT * 32)
  #own: Buffer | undefined
  /** Kept by those who parse: up to where it was read, and what is not known before the last line. */
  at = 0
  upgradeNamed = false
  upgradeOffered = false
  hasHost = false
  /** How often it came by here already. */
  passes = 0
  readonly limits: HeadLimits

  constructor(limits: HeadLimits = HEAD_LIMITS) {
    this.limits = limits
  }

  /** Makes it ready for another message. */
  reset(): void {
    this.bytes = NOTHING
    this.base = this.length = this.count = this.lineStart = this.at = this.passes = 0
    this.status = 0
    this.minor = 1
    this.plainTarget = true
    this.emptyPath = this.chunked = this.closes = this.keepsAlive = false
    this.expects = this.takesTrailers = this.nominates = false
    this.upgradeNamed = this.upgradeOffered = this.hasHost = false
    this.isAnswer = this.hasSpacedNames = this.hasPaddedFraming = this.hasDate = this.hasHsts = false
    this.contentLength = this.hostStart = this.hostEnd = -1
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

  /**
   * It asks to switch to what an upstream may switch to. Other offers are ignored (RFC 9110, 7.8): of h2c, with a body, and in HTTP/1.0.
   */
  get wantsUpgrade(): boolean {
    return this.upgradeNamed && this.upgradeOffered && this.minor === 1 && this.requestFraming === 'none'
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

  /** Whether the target is this path, which is ASCII; most are told apart by their length. */
  isFor(path: string): boolean {
    return (this.emptyPath || this.targetEnd - this.targetStart === path.length) && this.target === path
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

  /** All values of the header with this name, which is in lower case, as one list (RFC 9110, 5.3). */
  list(name: string): string | undefined {
    const values: string[] = []
    for (let slot = 0; slot < this.count; slot += 1) {
      if (isText(this.bytes, this.base + this.nameStart(slot), this.base + this.nameEnd(slot), name))
        values.push(this.value(slot))
    }
    return values.length === 0 ? undefined : values.join(', ')
  }

  /** Enters a header, by its offsets from the base. */
  add(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, field: Field): void {
    const slot = this.count * SLOT
    if (slot === this.#slots.length) this.#grow()
    const slots = this.#slots
    slots[slot] = nameStart
    slots[slot + 1] = nameEnd
    slots[slot + 2] = valueStart
    slots[slot + 3] = valueEnd
    slots[slot + 4] = field
    this.count += 1
  }

  /** Takes note of why, and gives the status. */
  refuse(status: number, fault: string): number {
    this.fault = fault
    return status
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 2)
    slots.set(this.#slots)
    this.#slots = slots
  }
}

const NOTHING = Buffer.alloc(0)
