import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client'
import { failures } from '../errors.ts'
import type { Counted } from '../http/counters.ts'
import { unexpectedErrors } from '../uncaught-errors.ts'
import { VERSION } from '../version.ts'
import { type Lag, readLag, worst } from './event-loop-lag.ts'
import { ROWS, sum } from './rows.ts'

/** The labels of a metric, each with all values that it may have. */
export type Labels = Readonly<Record<string, readonly string[]>>
/** A metric: its name without the prefix, a sentence of help, and its labels. */
export type Shown = { readonly name: string; readonly help: string; readonly labels?: Labels }
/** A metric as the documentation lists it, with its whole name. */
export type MetricDescription = {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: Labels
}

type Values = Readonly<Record<string, number>>
type LabelValues = Readonly<Record<string, string>>

/** From a container that is thawed to an image that is pulled first, in seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** Codes of errors have too many values to be shown before they happen. */
const MOST_EMPTY = 60

const DAEMONS = ['front', 'node']
export const CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx']
const THREADS = ['main', 'front-worker', 'node-worker']
const LAGS: readonly (readonly [keyof Lag, help: string])[] = [
  ['p50', 'the half of the times'],
  ['p99', '1 % of the times'],
  ['max', 'the longest time'],
]

/**
 * The metrics for Prometheus, computed when it asks. Labels have few values, all known beforehand: apps, hostnames and clients are never
 * labels. Thousands of apps would make thousands of series of each metric, and strangers could add more. `shadow status` and the log
 * describe single apps.
 */
export class Metrics {
  readonly #registry = new Registry()
  readonly #described: MetricDescription[] = []
  readonly #counted = new Map<string, () => Promise<readonly Counted[]>>()
  readonly #perDaemon = new Map<string, Counter<string>>()
  readonly #lags = new Map<string, Lag>()
  readonly #open = this.#ofDaemon('connections_open', 'Connections of clients that are open')
  readonly #webSockets = this.#ofDaemon('websockets_open', 'WebSockets that are open')

  constructor() {
    for (const [name, { help, labels }] of rowsByName()) this.#countPerDaemon(name, help, labels)
    this.#countPerDaemon('answers_total', 'Answers to clients, by the class of their status', { class: CLASSES })
    const code = Object.keys(failures)
    this.#countPerDaemon('errors_total', 'Answers of our own that tell of an error, by its code', { code })
    this.counter(
      { name: 'unexpected_errors_total', help: 'Errors that no code was there to take; the log has them' },
      () => ({ '': unexpectedErrors() }),
    )
    this.counter({ name: 'process_cpu_seconds_total', help: 'Processor time of this process' }, () => ({
      '': cpuSeconds(),
    }))
    this.gauge({ name: 'process_resident_memory_bytes', help: 'Resident memory of this process' }, () => ({
      '': process.memoryUsage.rss(),
    }))
    this.gauge(
      { name: 'process_start_time_seconds', help: 'When this process started, in seconds since 1970' },
      () => ({ '': performance.timeOrigin / 1_000 }),
    )
    this.gauge(
      { name: 'build_info', help: '1; its label is the version of Shadow', labels: { version: [VERSION] } },
      () => ({
        [VERSION]: 1,
      }),
    )
    for (const [of, what] of LAGS) {
      const help = `By how much the event loop was late since the scrape before: ${what}; of several threads, the worst one`
      const shown = { name: `event_loop_lag_${of}_seconds`, help, labels: { thread: THREADS } }
      this.gauge(shown, () => Object.fromEntries([...this.#lags].map(([thread, lag]) => [thread, lag[of]])))
    }
  }

  /** Adds the counters of a daemon's data plane, one set for each of its threads. */
  count(daemon: string, counted: () => Promise<readonly Counted[]>): void {
    this.#counted.set(daemon, counted)
  }

  /** Adds a counter that is read when it is asked for, by the values of its only label (`''` if it has none). */
  counter(shown: Shown, counts: () => Values): void {
    const label = this.#only(shown)
    new Counter({
      ...this.#describe('counter', shown),
      collect() {
        this.reset()
        for (const [value, count] of Object.entries(counts()))
          this.inc(label === undefined ? {} : { [label]: value }, count)
      },
    })
  }

  /** Adds a gauge that is read when it is asked for. */
  gauge(shown: Shown, values: () => Values | Promise<Values>): void {
    const label = this.#only(shown)
    new Gauge({
      ...this.#describe('gauge', shown),
      async collect() {
        const all = await values()
        this.reset()
        for (const [value, now] of Object.entries(all)) this.set(label === undefined ? {} : { [label]: value }, now)
      },
    })
  }

  /** Adds a counter of events. Returns the function that counts one. Few series are there from the start, so that a first event is an increase. */
  events(shown: Shown): (labels?: LabelValues) => void {
    const counter = new Counter(this.#describe('counter', shown))
    const series = combined(shown.labels)
    if (series.length <= MOST_EMPTY) for (const labels of series) counter.inc(labels, 0)
    return (labels = {}) => counter.inc(labels)
  }

  /** Adds a histogram of durations. Returns the function that records one duration, in milliseconds. */
  durations(shown: Shown, buckets: number[] = SECONDS): (ms: number, labels?: LabelValues) => void {
    const histogram = new Histogram({ ...this.#describe('histogram', shown), buckets })
    for (const labels of combined(shown.labels)) histogram.zero(labels)
    return (ms, labels = {}) => histogram.observe(labels, ms / 1_000)
  }

  /** All metrics that were added. */
  get described(): readonly MetricDescription[] {
    return this.#described
  }

  /** All metrics in the text format of Prometheus. */
  async text(): Promise<{ readonly type: string; readonly body: string }> {
    const asked = [...this.#counted].map(async ([daemon, counted]) => ({ daemon, threads: await counted() }))
    const all = await Promise.all(asked)
    for (const counter of this.#perDaemon.values()) counter.reset()
    this.#lags.set('main', readLag())
    for (const { daemon, threads } of all) {
      this.#show(daemon, sum(threads))
      const lags = threads.flatMap(({ lag }) => lag ?? [])
      if (lags.length > 0) this.#lags.set(`${daemon}-worker`, worst(lags))
    }
    return { type: this.#registry.contentType, body: await this.#registry.metrics() }
  }

  #show(daemon: string, total: Counted): void {
    for (const [field, { name, labels }] of Object.entries(ROWS))
      this.#perDaemon.get(name)?.inc({ daemon, ...labels }, total[field as keyof typeof ROWS])
    for (const [hundreds, count] of total.byClass.entries())
      if (hundreds > 0) this.#perDaemon.get('answers_total')?.inc({ daemon, class: `${hundreds}xx` }, count)
    for (const [code, count] of Object.entries(total.byError))
      this.#perDaemon.get('errors_total')?.inc({ daemon, code }, count)
    this.#open.set({ daemon }, total.open)
    this.#webSockets.set({ daemon }, total.webSocketsOpen)
  }

  #countPerDaemon(name: string, help: string, labels: Labels): void {
    const shown = { name, help, labels: { daemon: DAEMONS, ...labels } }
    this.#perDaemon.set(name, new Counter(this.#describe('counter', shown)))
  }

  #ofDaemon(name: string, help: string): Gauge<string> {
    return new Gauge(this.#describe('gauge', { name, help, labels: { daemon: DAEMONS } }))
  }

  #only({ name, labels = {} }: Shown): string | undefined {
    const [label, ...others] = Object.keys(labels)
    if (others.length > 0) throw new Error(`${name} is read by one label`)
    return label
  }

  #describe(type: MetricDescription['type'], { name, help, labels = {} }: Shown) {
    this.#described.push({ name: full(name), type, help, labels })
    return { name: full(name), help, labelNames: Object.keys(labels), registers: [this.#registry] }
  }
}

/** Metrics that every exporter has (`process_…`) keep their standard names. */
const full = (name: string): string => (name.startsWith('process_') ? name : `shadow_${name}`)

/** The rows of the data plane by the name of their metric, with all values of their labels. */
function rowsByName(): ReadonlyMap<string, { help: string; labels: Record<string, string[]> }> {
  const all = new Map<string, { help: string; labels: Record<string, string[]> }>()
  for (const { name, help, labels = {} } of Object.values(ROWS)) {
    const row = all.get(name) ?? { help, labels: {} }
    for (const [label, value] of Object.entries(labels)) row.labels[label] = [...(row.labels[label] ?? []), value]
    all.set(name, row)
  }
  return all
}

/** Every combination of the values of the labels. */
function combined(labels: Labels = {}): LabelValues[] {
  let all: Record<string, string>[] = [{}]
  for (const [label, values] of Object.entries(labels))
    all = all.flatMap(one => values.map(value => ({ ...one, [label]: value })))
  return all
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
