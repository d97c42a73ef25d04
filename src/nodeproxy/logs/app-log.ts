import { type Clock, timestamp } from '../../lib/clock.ts'
import { isNoSpace } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { Mutex } from '../../lib/mutex.ts'
import type { LogLine } from '../../model/instance.ts'
import { type InstanceId, logFields } from '../../model/instance-id.ts'
import { Inbox } from './inbox.ts'
import { isTooOld, isWanted, type LineFilter } from './line-filter.ts'
import type { ReadOptions } from './logs.ts'
import { Segments } from './segments.ts'

// A pump that writes faster than the disk takes it waits from here on.
const MOST_PENDING_BYTES = 2 ** 20
// The two streams of a container are stamped side by side, so that lines may stand in the log a little out of order.
const OUT_OF_ORDER_MS = 1_000

/** Where a container's output is to be read on, and how often each line from there on is kept already. */
export type Known = { readonly since: string; readonly lines: Map<string, number> }

type Options = {
  readonly instance: InstanceId
  readonly folder: string
  readonly maxBytes: number
  readonly clock: Clock
  readonly log: Log
}

/** The log of one instance, bounded and on disk. It never blocks the app. On a full disk, lines are lost and nothing else fails. */
export class AppLog {
  readonly #instance: InstanceId
  readonly #clock: Clock
  readonly #log: Log
  readonly #segments: Segments
  /** Writes and reads of the files take turns, so that a following reader gets each line exactly once. */
  readonly #mutex = new Mutex()
  readonly #readers = new Set<Inbox>()
  readonly #pending: { line: LogLine; text: string }[] = []
  #pendingBytes = 0
  #writing: Promise<void> | undefined
  #dropped = 0
  #isRemoved = false

  constructor({ instance, folder, maxBytes, clock, log }: Options) {
    this.#clock = clock
    this.#instance = instance
    this.#log = log
    this.#segments = new Segments({ base: `${folder}/${fileOf(instance)}`, maxBytes })
  }

  /** Adds a line, and starts to write it. */
  append(line: LogLine): void {
    if (this.#isRemoved) return
    const text = JSON.stringify(line) // also what keeps a line of the app from passing for another one
    this.#pending.push({ line, text })
    this.#pendingBytes += text.length
    for (const reader of this.#readers) reader.put(line)
    this.#writing ??= this.#mutex.take(() => this.#write())
  }

  /** Resolves when there is room for more; a pump waits for it after each line. */
  async ready(): Promise<void> {
    while (this.#pendingBytes > MOST_PENDING_BYTES) await this.#writing
  }

  /** Resolves when all that was added so far is written, or dropped. */
  async flushed(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing
  }

  /** Its last `tail` lines, oldest first; with `follow` those that come, too, until the signal aborts. */
  async *read({ tail, follow, ...filter }: ReadOptions, signal: AbortSignal): AsyncGenerator<LogLine> {
    using inbox = new Inbox(signal)
    using leaving = new DisposableStack()
    leaving.defer(() => this.#readers.delete(inbox))
    const lines = await this.#mutex.take(async () => {
      const written = await this.#last(tail, filter)
      // No await from here on: lines that are added from now on come through the inbox.
      if (follow) this.#readers.add(inbox)
      const pending = this.#pending.map(({ line }) => line).filter(line => isWanted(line, filter))
      const all = [...written, ...pending]
      return all.slice(Math.max(0, all.length - tail))
    })
    yield* lines
    if (!follow) return
    for await (const line of inbox) if (isWanted(line, filter)) yield line
  }

  /** What is kept of the newest container output; undefined where there is none. */
  async known(): Promise<Known | undefined> {
    await this.flushed()
    return this.#mutex.take(async () => {
      let since: string | undefined
      let horizon = 0
      const lines = new Map<string, number>()
      for await (const line of this.#backwards()) {
        if (line.stream === 'shadow') continue
        if (since === undefined) {
          horizon = Date.parse(line.at) - OUT_OF_ORDER_MS
          since = new Date(horizon).toISOString()
        } else if (Date.parse(line.at) < horizon - OUT_OF_ORDER_MS) break
        const key = keyOf(line)
        lines.set(key, (lines.get(key) ?? 0) + 1)
      }
      return since === undefined ? undefined : { since, lines }
    })
  }

  /** Deletes the files; what is added later is not kept. */
  async remove(): Promise<void> {
    this.#isRemoved = true
    await this.flushed()
    await this.#mutex.take(() => this.#segments.remove())
  }

  async #write(): Promise<void> {
    while (this.#pending.length > 0) {
      let done = this.#pending.length
      try {
        done = await this.#segments.append(this.#pending.map(({ text }) => text))
        this.#tellOfDropped()
      } catch (cause) {
        if (this.#dropped === 0)
          this.#log.warn(isNoSpace(cause) ? 'app log stopped: disk full' : 'app log stopped', {
            ...logFields(this.#instance),
            cause,
          })
        this.#dropped += done
      }
      for (const { text } of this.#pending.splice(0, done)) this.#pendingBytes -= text.length
    }
    this.#writing = undefined
  }

  #tellOfDropped(): void {
    if (this.#dropped === 0) return
    const line = `${this.#dropped} lines of this log were lost, as the disk had no room for them`
    this.#log.info('app log goes on', { ...logFields(this.#instance), dropped: this.#dropped })
    this.#dropped = 0
    this.append({ at: timestamp(this.#clock), stream: 'shadow', line })
  }

  async #last(count: number, filter: LineFilter): Promise<LogLine[]> {
    const lines: LogLine[] = []
    if (count > 0)
      for await (const line of this.#backwards()) {
        if (isTooOld(line, filter)) break
        if (isWanted(line, filter)) lines.push(line)
        if (lines.length === count) break
      }
    return lines.reverse()
  }

  /** The lines in the files, newest first, without what a crash or a full disk tore. */
  async *#backwards(): AsyncGenerator<LogLine> {
    for await (const text of this.#segments.backwards()) {
      const line = parsed(text)
      if (line !== undefined) yield line
    }
  }
}

// `blog.1.ndjson` is the older part of the log of `blog`, so the log of the instance `blog.1` cannot have that name.
const fileOf = (instance: InstanceId): string => instance.replace('.', '_')

/** What makes a line the same line, when it is read a second time. */
export const keyOf = ({ at, stream, line }: LogLine): string => `${at} ${stream} ${line}`

function parsed(text: string): LogLine | undefined {
  try {
    const line = JSON.parse(text) as Partial<LogLine> | null
    return typeof line?.at === 'string' && typeof line.line === 'string' ? (line as LogLine) : undefined
  } catch {
    return undefined // torn
  }
}
