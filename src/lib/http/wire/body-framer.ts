import { CR, HEX, LF, TOKEN, VALUE } from './bytes.ts'
import { Field } from './fields.ts'
import { type Framing, Head, type HeadLimits, MORE, WHOLE } from './head.ts'
import { parseTrailers } from './parse.ts'

// The states of the chunk parser. All but DATA are between two chunks.
const SIZE_FIRST = 0
const SIZE = 1
const EXT_NAME_FIRST = 2
const EXT_NAME = 3
const EXT_VALUE_FIRST = 4
const EXT_VALUE = 5
const EXT_QUOTED = 6
const EXT_ESCAPED = 7
const EXT_QUOTED_END = 8
const SIZE_LF = 9
const DATA = 10
const DATA_CR = 11
const DATA_LF = 12
const TRAILER_FIRST = 13
const TRAILER_LF = 14
const TRAILER = 15

const SEMICOLON = 0x3b
const EQUALS = 0x3d
const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Hexadecimal digits of a chunk size. A double holds so many exactly, and no chunk has more. */
const LONGEST_SIZE = 13
const EXTENSION_BYTES = 4_096
/** Fields that frame or route a message. In trailers they come too late, but some parsers use them; so they are refused. */
const FRAMES: readonly Field[] = [Field.contentLength, Field.transferEncoding, Field.host]
const TRAILER_LIMITS: HeadLimits = { headBytes: 8_192, lineBytes: 8_192, headers: 64 }

/**
 * Finds the end of a body while its bytes arrive (RFC 9112, 6.3 and 7.1), so that they can be passed on unchanged. Chunk extensions are left
 * out: every hop may drop them, and parsers disagree on them. Trailers are parsed and kept in `trailers`.
 */
export class BodyFramer {
  /** The whole body has been seen. */
  done = true
  /** Why the body is not well framed; undefined while it is. After a fault nothing more of the body can be passed on. */
  fault: string | undefined
  /** The offset at which the next call of `take` has to begin. */
  next = 0
  /** The trailers, once they are whole; undefined where the body has none. */
  trailers: Head | undefined
  /** Bytes of content in the chunks so far, without their framing. */
  chunked = 0
  #framing: Framing = 'none'
  /** Bytes that are still to come of the body, or of the current chunk. */
  #left = 0
  #state = SIZE_FIRST
  #digits = 0
  #extension = 0
  #trailerBytes: Buffer | undefined
  #content = false
  readonly #ofAnswers: boolean

  constructor({ ofAnswers = false } = {}) {
    this.#ofAnswers = ofAnswers
  }

  /** Begins a body. With `content`, `take` yields only what is inside the chunks: for a receiver that frames bodies in another way. */
  start(framing: Framing, length: number, content = false): void {
    this.#framing = framing
    this.#content = content
    this.#left = framing === 'length' ? length : 0
    this.done = framing === 'none'
    this.fault = this.trailers = this.#trailerBytes = undefined
    this.#state = SIZE_FIRST
    this.#digits = this.#extension = this.chunked = 0
  }

  get framing(): Framing {
    return this.#framing
  }

  /** The parser is in the trailers. Nothing of them is passed on before they are whole. */
  get inTrailers(): boolean {
    return this.#state === TRAILER && !this.done
  }

  /** A lower bound of the bytes that are still to come. */
  get left(): number {
    return this.#framing === 'close' ? Number.POSITIVE_INFINITY : this.#left
  }

  /**
   * Reads bytes from offset `from`. The bytes up to the offset it returns are to be passed on, and `next` is where to continue. It stops
   * early before bytes that are left out, at the end of the body (`done`) and at a fault (`fault`).
   */
  take(bytes: Buffer, from: number, end: number): number {
    switch (this.#framing) {
      case 'chunked': {
        const inside = this.#state === DATA
        const stop = this.#chunked(bytes, from, end)
        return inside || !this.#content ? stop : from
      }
      case 'length': {
        const stop = Math.min(end, from + this.#left)
        this.#left -= stop - from
        this.done = this.#left === 0
        this.next = stop
        return stop
      }
      case 'close':
        this.next = end
        return end
      default:
        this.next = from
        return from
    }
  }

  /** The sender has closed its side. Returns whether the body is complete by that. */
  end(): boolean {
    if (this.#framing === 'close') this.done = true
    return this.done
  }

  #chunked(bytes: Buffer, from: number, end: number): number {
    let at = from
    while (at < end) {
      if (this.#state === DATA) {
        const stop = Math.min(end, at + this.#left)
        this.#left -= stop - at
        this.chunked += stop - at
        at = stop
        if (this.#left === 0) this.#state = DATA_CR
        if (!this.#content) continue
        this.next = at
        return at
      }
      const byte = bytes[at] as number
      if (this.#state > SIZE && this.#state < SIZE_LF) return this.#skipExtension(bytes, at, end)
      if (this.#state === TRAILER) return this.#trailer(bytes, at, end)
      switch (this.#state) {
        case SIZE_FIRST:
        case SIZE: {
          const digit = HEX[byte] as number
          if (digit >= 0) {
            if (this.#digits === LONGEST_SIZE) return this.#fail(at, 'a chunk size that is too long')
            this.#digits += 1
            this.#left = this.#left * 16 + digit
            this.#state = SIZE
          } else if (this.#state === SIZE_FIRST) return this.#fail(at, 'a chunk without a size')
          else if (byte === CR) this.#state = SIZE_LF
          else if (byte === SEMICOLON) {
            this.#state = EXT_NAME_FIRST
            this.next = at + 1
            return at
          } else return this.#fail(at, 'a chunk size that is not a hexadecimal number')
          break
        }
        case SIZE_LF:
          if (byte !== LF) return this.#fail(at, 'a chunk size that does not end in CR LF')
          this.#state = this.#left === 0 ? TRAILER_FIRST : DATA
          this.#digits = 0
          if (!this.#content || this.#state !== DATA) break
          this.next = at + 1
          return from
        case DATA_CR:
          if (byte !== CR) return this.#fail(at, 'a chunk longer than its size')
          this.#state = DATA_LF
          break
        case DATA_LF:
          if (byte !== LF) return this.#fail(at, 'a chunk that does not end in CR LF')
          this.#state = SIZE_FIRST
          break
        case TRAILER_FIRST:
          if (byte !== CR) {
            this.#state = TRAILER
            this.next = at
            return at
          }
          this.#state = TRAILER_LF
          break
        default:
          if (byte !== LF) return this.#fail(at, 'a CR without LF')
          this.done = true
          this.next = at + 1
          return at + 1
      }
      at += 1
    }
    this.next = end
    return end
  }

  /** Skips a chunk extension (RFC 9112, 7.1.1). White space in it, which the RFC calls bad, is refused. */
  #skipExtension(bytes: Buffer, from: number, end: number): number {
    for (let at = from; at < end; at += 1) {
      const byte = bytes[at] as number
      this.#extension += 1
      if (this.#extension > EXTENSION_BYTES) return this.#fail(from, 'chunk extensions that are too long')
      const ends = byte === CR || byte === SEMICOLON
      let state = this.#state
      if (state === EXT_QUOTED)
        state = byte === QUOTE ? EXT_QUOTED_END : byte === BACKSLASH ? EXT_ESCAPED : VALUE[byte] ? EXT_QUOTED : -1
      else if (state === EXT_ESCAPED) state = VALUE[byte] ? EXT_QUOTED : -1
      else if (state === EXT_VALUE_FIRST) state = byte === QUOTE ? EXT_QUOTED : TOKEN[byte] ? EXT_VALUE : -1
      else if (state === EXT_NAME_FIRST) state = TOKEN[byte] ? EXT_NAME : -1
      else if (state === EXT_NAME && byte === EQUALS) state = EXT_VALUE_FIRST
      else if (ends) state = byte === CR ? SIZE : EXT_NAME_FIRST
      else if (state === EXT_QUOTED_END || !TOKEN[byte]) state = -1
      if (state === -1) return this.#fail(from, 'a chunk extension that is not well formed')
      this.#state = state
      if (state === SIZE) {
        this.next = at // the size line continues at its CR
        return from
      }
    }
    this.next = end
    return from
  }

  #trailer(bytes: Buffer, from: number, end: number): number {
    const before = this.#trailerBytes
    const all =
      before === undefined ? Buffer.from(bytes.subarray(from, end)) : Buffer.concat([before, bytes.subarray(from, end)])
    this.#trailerBytes = all
    const head = new Head(TRAILER_LIMITS)
    const code = parseTrailers(head, all, 0, all.length, this.#ofAnswers)
    if (code === MORE) {
      this.next = end
      return from
    }
    if (code !== WHOLE) return this.#fail(from, `trailers with ${head.fault}`)
    for (let slot = 0; slot < head.count; slot += 1) {
      if (FRAMES.includes(head.field(slot))) return this.#fail(from, 'trailers that frame a message')
    }
    this.trailers = head
    this.done = true
    this.next = from + head.length - (before?.length ?? 0)
    return from
  }

  #fail(at: number, fault: string): number {
    this.fault = fault
    this.next = at
    return at
  }
}
