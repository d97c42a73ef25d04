import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client'
import type { Counted } from '../http/counters.ts'
import { unexpectedErrors } from '../uncaught-errors.ts'
import { ROWS, sum } from './rows.ts'

/** A metric: its name without the prefix, a sentence of help, and the name of its only label. */
export type Shown = { readonly name: string; readonly help: string; readonly label?: string }

type Values = Readonly<Record<string, number>>

/**
 * The metrics for Prometheus, computed when it asks. Labels have few values, all known beforehand: apps, hostnames and clients are never
 * labels. Thousands of apps would make thousands of series of each metric, and strangers could add more. `shadow status` and the log
 * describe single apps.
 */
export class Metrics {
  readonly #registry = new Registry()
  readonly #counted = new Map<string, () => Promise<readonly Counted[]>>()
  readonly #counters = new Map<string, Counter<string>>()
  readonly #open = this.#gauge('connections_open', 'Connections of clients that are open', ['daemon'])
  readonly #webSockets = this.#gauge('websockets_open', 'WebSockets that are open', ['daemon'])

  constructor() {
    for (const { name, help, labels = {} } of Object.values(ROWS))
      this.#counter(name, help, ['daemon', ...Object.keys(labels)])
    this.#counter('answers_total', 'Answers to clients, by the class of their status', ['daemon', 'class'])
    this.#counter('errors_total', 'Answers of our own that tell of an error, by its code', ['daemon', 'code'])
    const unexpected = {
      name: 'unexpected_errors_total',
      help: 'Errors that no code was there to take; the log has them',
    }
    this.counter(unexpected, () => ({ '': unexpectedErrors() }))
    this.#counter('process_cpu_seconds_total', 'Processor time of this process')
    this.#gauge('process_resident_memory_bytes', 'Resident memory of this process', [], gauge =>
      gauge.set(process.memoryUsage.rss()),
    )
  }

  /** Adds the counters of a daemon's data plane, one set for each of its threads. */
  count(daemon: string, counted: () => Promise<readonly Counted[]>): void {
    this.#counted.set(daemon, counted)
  }

  /** Adds a counter, by the values of its label (`''` if it has none). */
  counter({ name, help, label }: Shown, counts: () => Values): void {
    new Counter({
      name: `shadow_${name}`,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const [value, count] of Object.entries(counts()))
          this.inc(label === undefined ? {} : { [label]: value }, count)
      },
    })
  }

  /** Adds a gauge. */
  gauge({ name, help, label }: Shown, values: () => Values | Promise<Values>): void {
    this.#gauge(name, help, label === undefined ? [] : [label], async gauge => {
      const all = await values()
      gauge.reset()
      for (const [value, now] of Object.entries(all)) gauge.set(label === undefined ? {} : { [label]: value }, now)
    })
  }

  /** Adds a histogram of durations, with these bounds in seconds. Returns the function that records one duration, in milliseconds. */
  durations({ name, help }: Shown, buckets: number[]): (ms: number) => void {
    const histogram = new Histogram({ name: `shadow_${name}`, help, buckets, registers: [this.#registry] })
    return ms => histogram.observe(ms / 1_000)
  }

  /** All metrics in the text format of Prometheus. */
  async text(): Promise<{ readonly type: string; readonly body: string }> {
    const asked = [...this.#counted].map(async ([daemon, counted]) => ({ daemon, total: sum(await counted()) }))
    const totals = await Promise.all(asked)
    for (const counter of this.#counters.values()) counter.reset()
    this.#counters.get('process_cpu_seconds_total')?.inc({}, cpuSeconds())
    for (const { daemon, total } of totals) this.#show(daemon, total)
    return { type: this.#registry.contentType, body: await this.#registry.metrics() }
  }

  #show(daemon: string, total: Counted): void {
    for (const [field, { name, labels }] of Object.entries(ROWS))
      this.#counters.get(name)?.inc({ daemon, ...labels }, total[field as keyof typeof ROWS])
    for (const [hundreds, count] of total.byClass.entries())
      if (hundreds > 0) this.#counters.get('answers_total')?.inc({ daemon, class: `${hundreds}xx` }, count)
    for (const [code, count] of Object.entries(total.byError))
      this.#counters.get('errors_total')?.inc({ daemon, code }, count)
    this.#open.set({ daemon }, total.open)
    this.#webSockets.set({ daemon }, total.webSocketsOpen)
  }

  #counter(name: string, help: string, labelNames: string[] = []): void {
    if (this.#counters.has(name)) return
    this.#counters.set(name, new Counter({ name: full(name), help, labelNames, registers: [this.#registry] }))
  }

  #gauge(name: string, help: string, labelNames: string[], collect?: (gauge: Gauge<string>) => unknown): Gauge<string> {
    return new Gauge({
      name: full(name),
      help,
      labelNames,
      registers: [this.#registry],
      ...(collect && {
        async collect() {
          await collect(this)
        },
      }),
    })
  }
}

/** Metrics that every exporter has (`process_…`) keep their standard names. */
const full = (name: string): string => (name.startsWith('process_') ? name : `shadow_${name}`)

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
