import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import type { LogLine } from '../../model/instance.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import type { NodeName } from '../../model/names.ts'

/** The log of one instance on one node. */
export type LogSource = { readonly instance: InstanceId; readonly node: NodeName }
export type LogSources = { readonly sources: readonly LogSource[]; readonly silent: readonly NodeName[] }

type Reading = { readonly tail: number; readonly follow: boolean; readonly since?: string | undefined }
export type MergedParts = {
  /** The instances of the app, over all nodes. */
  readonly list: () => Promise<LogSources>
  /** The lines of one of them, oldest first. With `since` only those from then on. */
  readonly read: (source: LogSource, reading: Reading, signal: AbortSignal) => AsyncIterable<LogLine>
  readonly clock: Clock
}

/** Of a log that was followed up to a line, all lines after it are read. */
const ALL_LINES = 100_000
const MOST_BYTES = 32 * 2 ** 20
/** So often new instances are looked for, and lost connections are made anew. */
const LOOKED_EVERY_MS = 2_000
/** Lines that come at once from several nodes are sorted within this time. */
const SORTED_OVER_MS = 200

/** The last `tail` lines of all instances together, in the order of their times; with `follow` also those that come. */
export async function* mergedLog(
  parts: MergedParts,
  { tail, follow, since }: Reading,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const { sources, silent } = await parts.list()
  for (const node of silent) yield silence(node, parts.clock)
  const followed = new Map(sources.map(source => [keyOf(source), new Followed(source)]))
  const last = new LastLines(tail)
  const begun = sources.map(source => {
    const known = followed.get(keyOf(source)) as Followed
    return known.watched(parts.read(source, { tail, follow: false, since }, signal))
  })
  for await (const line of inOrder(begun)) last.add(line)
  yield* last.lines
  if (follow) yield* comingLines(parts, followed, signal)
}

/** The lines that come, of the instances that are there and of those that are made later, until the signal aborts. */
async function* comingLines(
  parts: MergedParts,
  followed: Map<string, Followed>,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const { clock } = parts
  const waiting: LogLine[] = []
  const since = new Date(clock.wall() - LOOKED_EVERY_MS).toISOString()
  const start = (source: LogSource): void => {
    const known = followed.get(keyOf(source)) ?? new Followed(source, since)
    followed.set(keyOf(source), known)
    if (known.isRead) return
    known.isRead = true
    const lines = parts.read(source, { tail: ALL_LINES, follow: true, since: known.since }, signal)
    const readAll = async (): Promise<void> => {
      for await (const line of known.watched(lines)) waiting.push(line)
    }
    readAll()
      .catch(() => undefined) // the next look reads on from its last line
      .finally(() => {
        known.isRead = false
      })
  }
  for (const { source } of followed.values()) start(source)
  let lookedAt = clock.now()
  while (!signal.aborted) {
    await pause(clock, SORTED_OVER_MS, signal).catch(() => undefined) // an abort ends the loop at its head
    yield* waiting.splice(0).toSorted(byTime)
    if (clock.now() - lookedAt < LOOKED_EVERY_MS || signal.aborted) continue
    const { sources } = await parts.list().catch(() => ({ sources: [] }))
    for (const source of sources) start(source)
    lookedAt = clock.now()
  }
}

/** One log: how far it was read, so that no line comes twice when it is read on. */
class Followed {
  readonly source: LogSource
  isRead = false
  #last: string | undefined
  #ofLast = new Set<string>()
  readonly #from: string | undefined

  constructor(source: LogSource, from?: string) {
    this.source = source
    this.#from = from
  }

  get since(): string | undefined {
    return this.#last ?? this.#from
  }

  /** The lines with their instance, without those that an earlier reading has had. */
  async *watched(lines: AsyncIterable<LogLine>): AsyncGenerator<LogLine> {
    const { instance } = this.source
    const [had, ofLast] = [this.#last, this.#ofLast]
    for await (const line of lines) {
      const key = `${line.stream} ${line.line}`
      if (had !== undefined && (line.at < had || (line.at === had && ofLast.has(key)))) continue
      this.#note(line.at, key)
      yield { ...line, instance }
    }
  }

  #note(at: string, key: string): void {
    if (this.#last === undefined || at > this.#last) {
      this.#last = at
      this.#ofLast = new Set()
    }
    if (at === this.#last) this.#ofLast.add(key)
  }
}

/** The last lines of many, in bounded memory. */
class LastLines {
  readonly #tail: number
  #lines: LogLine[] = []
  #bytes = 0

  constructor(tail: number) {
    this.#tail = tail
  }

  get lines(): readonly LogLine[] {
    return this.#lines
  }

  add(line: LogLine): void {
    if (this.#tail === 0) return
    this.#lines.push(line)
    this.#bytes += line.line.length
    while (this.#lines.length > this.#tail || (this.#bytes > MOST_BYTES && this.#lines.length > 1))
      this.#bytes -= this.#lines.shift()?.line.length ?? 0
  }
}

/** The lines of several logs, each of which is in order, in one order. A log that breaks off ends there. */
async function* inOrder(logs: readonly AsyncIterator<LogLine>[]): AsyncGenerator<LogLine> {
  const next = async (log: AsyncIterator<LogLine>): Promise<Head | undefined> => {
    try {
      const { value, done } = await log.next()
      return done === true ? undefined : { line: value, log }
    } catch {
      return undefined
    }
  }
  const heads = (await Promise.all(logs.map(next))).filter(head => head !== undefined)
  for (;;) {
    const first = heads.toSorted((a, b) => byTime(a.line, b.line))[0]
    if (first === undefined) return
    yield first.line
    const following = await next(first.log)
    if (following === undefined) heads.splice(heads.indexOf(first), 1)
    else heads[heads.indexOf(first)] = following
  }
}

type Head = { readonly line: LogLine; readonly log: AsyncIterator<LogLine> }

const byTime = (a: LogLine, b: LogLine): number => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)
const keyOf = ({ instance, node }: LogSource): string => `${node} ${instance}`

const silence = (node: NodeName, clock: Clock): LogLine => ({
  at: new Date(clock.wall()).toISOString(),
  stream: 'shadow',
  line: `the node ${node} does not answer; what instances wrote there is missing`,
})
