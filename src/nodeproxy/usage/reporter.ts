import type { MasterClient } from '../../api/client.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import { dayOf, USAGE_COUNTERS, type UsageCounters, type UsageDay } from '../../model/usage.ts'
import type { UsageLedger } from './ledger.ts'

type Options = {
  readonly node: NodeName
  readonly ledger: UsageLedger
  readonly master: Pick<MasterClient, 'call'>
  readonly clock: Clock
  readonly log: Log
}

const LOOKS_EVERY_MS = 5_000
/** What apps use is reported so often while it grows, and so soon after one has gone to sleep. */
const REPORTS_EVERY_MS = 60_000
const REPORTS_AFTER_REST_MS = 2_000
/** Volumes of apps that sleep grow by time alone: a node on which all sleep says so this often. */
const REPORTS_STORED_EVERY_MS = 3_600_000
const MOST_APPS = 1_000
/** A day that is over for so many days is not added to any more, once the master has it. */
const SETTLED_AFTER_DAYS = 2

/** Reports what this node has counted to the master. A report has counters of whole days so far: a report may be repeated, and come late. */
export class UsageReporter implements AsyncDisposable {
  readonly #options: Options
  /** What the master has of each day. */
  readonly #reported = new Map<UsageDay, Map<AppName, UsageCounters>>()
  #dueAt = 0
  #storedDueAt = 0
  #timer: Disposable | undefined
  #reporting: Promise<void> | undefined
  #isHeard = true
  #isOver = false

  constructor(options: Options) {
    this.#options = options
  }

  start(): void {
    const again = (): void => {
      if (!this.#isOver) this.#timer = this.#options.clock.after(LOOKS_EVERY_MS, () => void this.#look().finally(again))
    }
    again()
  }

  /** An app has gone to sleep: others learn soon what it has used. */
  soon(): void {
    const at = this.#options.clock.now() + REPORTS_AFTER_REST_MS
    if (at < this.#dueAt) this.#dueAt = at
  }

  /** Reports all that the master does not have yet. Fails if no master takes it. */
  report(): Promise<void> {
    this.#reporting ??= this.#report().finally(() => {
      this.#reporting = undefined
    })
    return this.#reporting
  }

  /** Tries a last time; what the master does not hear stays in the ledger for the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    this.#timer?.[Symbol.dispose]()
    await this.report().catch(() => undefined)
  }

  async #look(): Promise<void> {
    const { clock, log, node } = this.#options
    const now = clock.now()
    const isStoredDue = now >= this.#storedDueAt
    if (now < this.#dueAt || !(isStoredDue || this.#news().some(({ isUse }) => isUse))) return
    try {
      await this.report()
      this.#dueAt = now + REPORTS_EVERY_MS
      this.#storedDueAt = now + REPORTS_STORED_EVERY_MS
      if (!this.#isHeard) log.info('master takes usage again', { node })
      this.#isHeard = true
    } catch (cause) {
      const { code, message: detail } = asShadowError(cause)
      if (this.#isHeard) log.warn('usage not reported; it is kept and reported later', { node, code, detail, cause })
      this.#isHeard = false
    }
  }

  async #report(): Promise<void> {
    const { ledger, master, node, clock } = this.#options
    // What a master has must never be counted again by the next run of this process.
    await ledger.flush()
    const news = this.#news()
    for (let from = 0; from < news.length; from += MOST_APPS) {
      const part = news.slice(from, from + MOST_APPS)
      const apps = part.map(({ day, app, used }) => ({ day, app, used }))
      await master.call('reportUsage', { params: { node }, body: { counter: ledger.counter, apps } })
      for (const { day, app, used } of part)
        this.#reported.set(day, (this.#reported.get(day) ?? new Map<AppName, UsageCounters>()).set(app, used))
    }
    const settled = dayOf(clock.wall() - SETTLED_AFTER_DAYS * 86_400_000)
    ledger.settle(settled)
    for (const day of this.#reported.keys()) if (day <= settled) this.#reported.delete(day)
  }

  /** What the master does not have; `isUse`: more than the time of a stored volume. */
  #news() {
    const { ledger } = this.#options
    return ledger.days.flatMap(day =>
      [...ledger.ofDay(day)].flatMap(([app, used]) => {
        const before = this.#reported.get(day)?.get(app)
        if (used === before) return []
        const isUse = USAGE_COUNTERS.some(name => name !== 'volumeGiBHours' && used[name] !== (before?.[name] ?? 0))
        return [{ day, app, used, isUse }]
      }),
    )
  }
}
