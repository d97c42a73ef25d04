import type { Clock } from '../../lib/clock.ts'
import { timestamp } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { EndedRun, Phase } from '../../model/instance.ts'
import { appOf, type InstanceId } from '../../model/instance-id.ts'
import { withLastLines, withoutLastLines } from '../../model/last-lines.ts'
import type { AppName } from '../../model/names.ts'
import type { SeriesRange } from '../../model/series.ts'
import type { AppEvent } from '../../model/timeline.ts'
import type { Container } from '../runtime/runtime.ts'
import type { StoreThread } from './open.ts'
import type { HistoryRecorder, NotedEvent } from './recorder.ts'
import { Sampler, type SamplerParts } from './sampler.ts'
import type { Sample, SeriesStep } from './samples.ts'
import type { EventsQuery, NewEvent } from './store.ts'

type Options = Omit<SamplerParts, 'keep'> & {
  readonly store: StoreThread
  /** What the instance wrote last, the oldest line first; left out: nobody knows. */
  readonly lastLines?: (instance: InstanceId) => Promise<readonly string[]>
  readonly clock: Clock
  readonly log: Log
}

/** What a kill of this process may lose. */
const WRITE_AFTER_MS = 500
const SAMPLED_EVERY_MS = 10_000
/** Of one app between two writes; what comes more often is not kept. */
const MOST_UNWRITTEN = 100
const LONGEST_DETAIL = 1_000
const LONGEST_LINES = 500
const LONGEST_CAUSE = 200

/** The history of the apps of a node: what happened to them, and what they were given and used. It is written behind the caller's back. */
export class NodeHistory implements HistoryRecorder, AsyncDisposable {
  readonly #options: Options
  readonly #sampler: Sampler
  #events: NewEvent[] = []
  #samples: Sample[] = []
  readonly #unwritten = new Map<AppName, number>()
  #writing: Promise<void> = Promise.resolve()
  #nextWrite: Disposable | undefined
  #nextSample: Disposable | undefined
  #isWell = true
  #isOver = false

  constructor(options: Options) {
    this.#options = options
    this.#sampler = new Sampler({ ...options, keep: sample => this.#samples.push(sample) })
  }

  note(instance: InstanceId, { detail, by, ...event }: NotedEvent): void {
    const app = appOf(instance)
    const count = this.#unwritten.get(app) ?? 0
    if (count >= MOST_UNWRITTEN || this.#isOver) return
    this.#unwritten.set(app, count + 1)
    const at = timestamp(this.#options.clock)
    this.#events.push({
      ...event,
      ...{ app, at, instance },
      ...(by && { by: shortened(by, LONGEST_CAUSE) }),
      ...(detail && { detail: shortened(detail, LONGEST_DETAIL) }),
    })
    this.#writeSoon()
  }

  phase(instance: InstanceId, phase: Phase): void {
    this.#sampler.phase(instance, phase)
    if (this.#sampler.isActive) this.#sampleLater()
  }

  /** The container runs from now on. */
  started(container: Container): void {
    this.#sampler.started(container)
  }

  /** The container takes no more requests: it ends soon, or has ended. */
  ended({ container }: Pick<EndedRun, 'container'>): void {
    if (container !== undefined) this.#sampler.ended(container)
  }

  /** The container has run before this process began. */
  adopted(container: Pick<Container, 'id'>): void {
    this.#sampler.adopted(container)
  }

  async events(app: AppName, query: EventsQuery): Promise<readonly AppEvent[]> {
    await this.#write()
    return this.#options.store.isThere ? this.#options.store.call('events', { app, ...query }) : []
  }

  async series(app: AppName, range: SeriesRange): Promise<readonly SeriesStep[]> {
    await this.#sampleNow([app])
    return this.#options.store.isThere ? this.#options.store.call('series', { app, ...range }) : []
  }

  /** For how many milliseconds of each hour of a week the apps were awake. `from`: the start of the first one, in seconds since 1970. */
  async activity(apps: readonly AppName[], from: number) {
    await this.#sampleNow(apps)
    return this.#options.store.isThere ? this.#options.store.call('activity', { apps, from }) : []
  }

  async forget(app: AppName): Promise<void> {
    this.#events = this.#events.filter(event => event.app !== app)
    this.#samples = this.#samples.filter(sample => sample.app !== app)
    this.#sampler.forget(app)
    await this.#writing // what is written just now is removed then
    if (this.#options.store.isThere) await this.#options.store.call('forget', app)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#nextSample?.[Symbol.dispose]()
    await this.#sampler.sample()
    this.#isOver = true
    await this.#write()
    await this.#options.store[Symbol.asyncDispose]()
  }

  async #sampleNow(apps: readonly AppName[]): Promise<void> {
    await this.#sampler.sample(apps)
    await this.#write()
  }

  #sampleLater(): void {
    if (this.#isOver) return
    const { clock } = this.#options
    // At the ends of the shortest steps of a series, so that each step has one sample.
    const inMs = SAMPLED_EVERY_MS - (clock.wall() % SAMPLED_EVERY_MS)
    this.#nextSample ??= clock.after(inMs, () => {
      this.#nextSample = undefined
      this.#sampler
        .sample()
        .catch(cause => this.#options.log.warn('use of apps not sampled', { cause }))
        .finally(() => {
          if (this.#samples.length > 0) this.#writeSoon()
          if (this.#sampler.isActive) this.#sampleLater()
        })
    })
  }

  #writeSoon(): void {
    this.#nextWrite ??= this.#options.clock.after(WRITE_AFTER_MS, () => void this.#write())
  }

  /** Resolves when all that was kept before is written, or could not be. */
  #write(): Promise<void> {
    this.#nextWrite?.[Symbol.dispose]()
    this.#nextWrite = undefined
    this.#writing = this.#writing.then(() => this.#writeNow())
    return this.#writing
  }

  async #writeNow(): Promise<void> {
    const batch = { events: this.#events, samples: this.#samples }
    if (batch.events.length + batch.samples.length === 0) return
    this.#events = []
    this.#samples = []
    this.#unwritten.clear()
    const { store, log } = this.#options
    try {
      const events = await Promise.all(batch.events.map(event => this.#withLines(event)))
      await store.call('add', { ...batch, events })
      if (!this.#isWell) log.info('history of apps is written again')
      this.#isWell = true
    } catch (cause) {
      // What could not be written is lost: memory is for the apps.
      if (this.#isWell) log.warn('history of apps is not written', { cause })
      this.#isWell = false
    }
  }

  /** A crash with what the app wrote last: its log has been read by now. */
  async #withLines(event: NewEvent): Promise<NewEvent> {
    const { instance, kind, detail = '' } = event
    if (kind !== 'crash' || instance === undefined || hasLines(detail)) return event
    const lines = await this.#options.lastLines?.(instance).catch(() => []) // the event counts without them
    return lines === undefined ? event : { ...event, detail: withLastLines(detail, lines, LONGEST_LINES) }
  }
}

const hasLines = (detail: string): boolean => withoutLastLines(detail) !== detail

const shortened = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most)}…` : text)
