import { copy, isText } from './bytes.ts'
import type { Field } from './fields.ts'
import { HEAD_LIMITS, type HeadLimits } from './parse-outcome.ts'

export { HEAD_LIMITS, type HeadLimits, MORE, WHOLE } from './parse-outcome.ts'

/** How the end of a body is marked (RFC 9112, 6.3). */
export type Framing = 'none' | 'length' | 'chunked' | 'close'

const SLOT = 5

/**
 * The head of one message (RFC 9112, 2 to 6), filled in by the functions of parse.ts. Headers are stored as offsets into the bytes. They become
 * strings only on request.
 */
export class Head {
  bytes: Buffer = Buffer.alloc(0)
  base = 0
  /** Length of the whole head in bytes, including its empty line. */
  length = 0
  count = 0
  /** Why the head was refused. */
  fault = ''

  method = ''
  /** Where the start line begins. An empty line may precede it. */
  lineStart = 0
  /** The path and query in the request line. Of the absolute form, the part after scheme and authority. */
  targetStart = 0
  targetEnd = 0
  /** false for the absolute form: its request line has to be rewritten. */
  plainTarget = true
  /** The absolute form has no path. */
  emptyPath = false
  status = 0
  minor = 1

  chunked = false
  contentLength = -1
  closes = false
  keepsAlive = false
  expects = false
  takesTrailers = false
  /** `Connection` declares other headers hop-by-hop. */
  nominates = false
  /** The message is an answer. White space that is refused in requests is accepted in it, and removed (RFC 9112, 5.1). */
  isAnswer = false
  /** The answer has white space before a colon. */
  hasSpacedNames = false
  /** The answer has more white space around Content-Length or Transfer-Encoding than one space before the value. */
  hasPaddedFraming = false
  hasDate = false
  hasHsts = false
  /** Offsets of the requested host: in the absolute form, otherwise in Host (RFC 9112, 3.2.2; RFC 9110, 7.2). -1: there is none. */
  hostStart = -1
  hostEnd = -1

  #slots = new Int32Array(SLOT * 32)
  #own: Buffer | undefined
  /** Used by the parsers: the offset up to which they have read, and what they have seen so far. */
  at = 0
  upgradeNamed = false
  upgradeOffered = false
  hasHost = false
  /** How often `Via` says that the request passed a Shadow. */
  passes = 0
  readonly limits: HeadLimits

  constructor(limits: HeadLimits = HEAD_LIMITS) {
    this.limits = limits
  }

  /** Clears the head for another message. */
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

  /** Copies the head to memory of its own. Call it before the buffer that it was parsed from is reused. */
  keep(): void {
    let own = this.#own
    if (own === undefined || own.length < this.length)
      own = this.#own = Buffer.allocUnsafeSlow(Math.max(2_048, this.length))
    copy(this.bytes, this.base, this.base + this.length, own, 0)
    this.bytes = own
    this.base = 0
  }

  /**
   * The request asks for a switch of protocols that is forwarded. Others are ignored (RFC 9110, 7.8): of h2c, with a body, and in HTTP/1.0.
   */
  get wantsUpgrade(): boolean {
    return this.upgradeNamed && this.upgradeOffered && this.minor === 1 && this.requestFraming === 'none'
  }

  /** How the body of this request is framed. */
  get requestFraming(): Framing {
    return this.chunked ? 'chunked' : this.contentLength > 0 ? 'length' : 'none'
  }

  /** How the body of this answer is framed. That depends on the method of its request. */
  responseFraming(method: string): Framing {
    const { status } = this
    if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 'none'
    if (this.chunked) return 'chunked'
    return this.contentLength > 0 ? 'length' : this.contentLength === 0 ? 'none' : 'close'
  }

  /** Offsets of the header in this slot, relative to `base`. */
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

  /** The requested path and query. */
  get target(): string {
    const path = this.text(this.targetStart, this.targetEnd)
    if (!this.emptyPath) return path
    return this.method === 'OPTIONS' && path === '' ? '*' : `/${path}`
  }

  /** Tells whether the target is this ASCII path. The length is compared first. */
  isFor(path: string): boolean {
    return (this.emptyPath || this.targetEnd - this.targetStart === path.length) && this.target === path
  }

  /** The requested host, with its port. */
  get host(): string | undefined {
    return this.hostStart < 0 ? undefined : this.text(this.hostStart, this.hostEnd)
  }

  /** The first value of the header with this name; `name` is in lower case. */
  header(name: string): string | undefined {
    for (let slot = 0; slot < this.count; slot += 1) {
      if (isText(this.bytes, this.base + this.nameStart(slot), this.base + this.nameEnd(slot), name))
        return this.value(slot)
    }
    return undefined
  }

  /** The first value of each header, by its name in lower case. */
  get firstValues(): Record<string, string> {
    const headers: Record<string, string> = {}
    for (let slot = this.count - 1; slot >= 0; slot -= 1) headers[this.name(slot).toLowerCase()] = this.value(slot)
    return headers
  }

  /** All values of the header with this name, joined to one list (RFC 9110, 5.3); `name` is in lower case. */
  list(name: string): string | undefined {
    const values: string[] = []
    for (let slot = 0; slot < this.count; slot += 1) {
      if (isText(this.bytes, this.base + this.nameStart(slot), this.base + this.nameEnd(slot), name))
        values.push(this.value(slot))
    }
    return values.length === 0 ? undefined : values.join(', ')
  }

  /** Adds a header, by offsets relative to `base`. */
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

  /** Records why the head is refused, and returns the status. */
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
