import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client'
import type { Counted } from '../http/counters.ts'
import { unexpectedErrors } from '../last-resort.ts'
import { ROWS, sum } from './rows.ts'

/** Something to be shown: its name without the prefix, one sentence, and the name of its one label. */
export type Shown = { readonly name: string; readonly help: string; readonly label?: string }

type Values = Readonly<Record<string, number>>

/**
 * What Prometheus is shown, made when it asks. Labels have few values, which are known beforehand: there is none of apps, hostnames or
 * clients. Thousands of apps would be thousands of series in every metric, which no Prometheus is glad of and strangers could add to;
 * what one app does is told by `shadow status` and its log.
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

  /** Shows the counters of the data plane of a daemon, one set for each of its threads. */
  count(daemon: string, counted: () => Promise<readonly Counted[]>): void {
    this.#counted.set(daemon, counted)
  }

  /** Shows a count, by the values of its label (`''` where it has none). */
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

  /** The same of what goes up and down. */
  gauge({ name, help, label }: Shown, values: () => Values | Promise<Values>): void {
    this.#gauge(name, help, label === undefined ? [] : [label], async gauge => {
      const all = await values()
      gauge.reset()
      for (const [value, now] of Object.entries(all)) gauge.set(label === undefined ? {} : { [label]: value }, now)
    })
  }

  /** Shows how long something takes, by these bounds in seconds; gives what is called each time, with milliseconds. */
  durations({ name, help }: Shown, buckets: number[]): (ms: number) => void {
    const histogram = new Histogram({ name: `shadow_${name}`, help, buckets, registers: [this.#registry] })
    return ms => histogram.observe(ms / 1_000)
  }

  /** All of it, in the text format. */
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

/** What every exporter has keeps the name that it has everywhere. */
const full = (name: string): string => (name.startsWith('process_') ? name : `shadow_${name}`)

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
