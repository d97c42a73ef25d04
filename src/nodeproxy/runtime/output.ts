import type { LogLine } from '../../model/instance.ts'

// A line without end must not grow without end in our memory: it goes on as the next line.
const LONGEST_LINE = 64 * 1024
const HEADER = 8
const OUT_OF_ORDER_MS = 1_000

type Stream = 'stdout' | 'stderr'
type Unfinished = { at: string; parts: Buffer[]; bytes: number }

/**
 * Lines from Docker's multiplexed log stream with timestamps: each frame is a header (stream, 3 zeros, size) and one entry
 * `<RFC 3339> <bytes>`; an entry that does not end in a newline goes on in the next frame of its stream.
 */
export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<LogLine> {
  const unfinished = new Map<Stream, Unfinished>()
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let from = 0
    while (rest.length - from >= HEADER) {
      const end = from + HEADER + rest.readUInt32BE(from + 4)
      if (rest.length < end) break
      const stream = rest[from] === 2 ? 'stderr' : 'stdout'
      yield* taken(stream, rest.subarray(from + HEADER, end), unfinished)
      from = end
    }
    rest = rest.subarray(from)
  }
  for (const [stream, { at, parts }] of unfinished) yield line(stream, at, Buffer.concat(parts))
}

function* taken(stream: Stream, entry: Buffer, unfinished: Map<Stream, Unfinished>): Generator<LogLine> {
  const space = entry.indexOf(0x20)
  const at = entry.toString('latin1', 0, Math.max(0, space))
  const isEnd = entry.at(-1) === 0x0a
  const bytes = entry.subarray(space + 1, isEnd ? -1 : undefined)
  const begun = unfinished.get(stream)
  if (begun === undefined && isEnd && bytes.length <= LONGEST_LINE) return yield line(stream, at, bytes)
  const whole = begun ?? { at, parts: [], bytes: 0 }
  whole.parts.push(Buffer.from(bytes)) // a copy: the entry lies in a chunk that we give back
  whole.bytes += bytes.length
  let left: Buffer = whole.bytes >= LONGEST_LINE || isEnd ? Buffer.concat(whole.parts) : Buffer.alloc(0)
  if (left.length === 0 && !isEnd) return void unfinished.set(stream, whole)
  while (left.length > LONGEST_LINE) {
    const cut = wholeCharacters(left, LONGEST_LINE)
    yield line(stream, whole.at, left.subarray(0, cut))
    left = left.subarray(cut)
  }
  if (isEnd) {
    unfinished.delete(stream)
    yield line(stream, whole.at, left)
  } else unfinished.set(stream, { at: whole.at, parts: [left], bytes: left.length })
}

/** The greatest length up to `most` that does not end within a UTF-8 character. */
function wholeCharacters(bytes: Buffer, most: number): number {
  for (let length = most; length > most - 4; length -= 1) if (((bytes[length] ?? 0) & 0xc0) !== 0x80) return length
  return most
}

// What is no UTF-8 becomes U+FFFD: a log is text, and JSON carries every character of it.
const line = (stream: Stream, at: string, bytes: Buffer): LogLine => ({ at, stream, line: bytes.toString('utf8') })

/** An ISO 8601 time, with up to nanoseconds, as the `since` of Docker's API: seconds and nanoseconds. */
export function sinceOf(at: string): string {
  const [, whole = at, fraction = ''] = /^(.*?)(?:\.(\d+))?(?:Z|\+00:00)$/.exec(at) ?? []
  return `${Math.floor(Date.parse(`${whole}Z`) / 1_000)}.${fraction.padEnd(9, '0').slice(0, 9)}`
}

/**
 * The position of a reader of lines. Lines with the same time are distinguished by their number. Each stream has its own order: Docker copies
 * the two side by side, so a line of one may be stored after later lines of the other.
 */
export class LastLine {
  readonly #streams = new Map<
    LogLine['stream'],
    { at: string; line: string; seen: number; skipped: number; isMet: boolean }
  >()

  /** The time to read on from without missing lines. A stream without lines so far may still get slightly earlier ones. */
  get since(): string | undefined {
    const [earliest] = [...this.#streams.values()].map(({ at }) => at).sort()
    if (earliest === undefined || this.#streams.size === 2) return earliest
    return new Date(Date.parse(earliest) - OUT_OF_ORDER_MS).toISOString()
  }

  saw({ at, stream, line }: LogLine): void {
    const last = this.#streams.get(stream)
    this.#streams.set(stream, { at, line, seen: at === last?.at ? last.seen + 1 : 1, skipped: 0, isMet: true })
  }

  /** To be called before lines are read again from `since` on. */
  again(): void {
    for (const last of this.#streams.values()) {
      last.skipped = 0
      last.isMet = false
    }
  }

  /** Whether the line, of those read again from `at` on in their order, comes after all that were seen. */
  isBefore({ at, stream }: LogLine): boolean {
    const last = this.#streams.get(stream)
    if (last === undefined || at > last.at) return true
    if (at === last.at) last.isMet = true
    return at === last.at && ++last.skipped > last.seen
  }

  /** Whether lines may be missing before this new one: the one that was seen last was not there any more. */
  hasGapBefore({ stream }: LogLine): boolean {
    return this.#streams.get(stream)?.isMet === false
  }

  /** Whether the line was seen of its stream, or a newer one. Docker gives each line a time of its own, in nanoseconds. */
  hasPassed({ at, stream, line }: LogLine): boolean {
    const last = this.#streams.get(stream)
    return last !== undefined && (at < last.at || (at === last.at && line === last.line))
  }

  /** Whether the line is newer than those that were seen of its stream. */
  isOlderThan({ at, stream }: LogLine): boolean {
    const last = this.#streams.get(stream)
    return last === undefined || at > last.at
  }
}
