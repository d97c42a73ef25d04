import { randomUUID } from 'node:crypto'
import { open } from 'node:fs/promises'
import { isNoSpace } from '../../lib/errors.ts'
import { readIfThere, writeWhole } from '../../lib/files.ts'
import type { Log } from '../../lib/log.ts'
import type { AppName, VolumeId } from '../../model/names.ts'
import { sharesByDay, sumOfUsage, type UsageCounters, type UsageDay } from '../../model/usage.ts'

/** What a container had used when it was last read; `at`: by the wall clock. */
export type KnownRun = { readonly at: number; readonly cpuMs: number; readonly sentBytes: number }
export type KnownVolume = { readonly at: number; readonly bytes: number }

type Days = Map<UsageDay, Map<AppName, UsageCounters>>
/** One line of the file: all that changed since the line before it. A line counts whole, or not at all. */
type Line = {
  readonly counter?: string
  readonly days?: Readonly<Record<UsageDay, Readonly<Record<string, UsageCounters>>>>
  readonly runs?: Readonly<Record<string, KnownRun | null>>
  readonly volumes?: Readonly<Record<string, KnownVolume | null>>
  /** Days up to this one are with the master, and over. */
  readonly settledTo?: UsageDay
}

const MOST_BYTES = 4 * 2 ** 20
/** A run that was not seen for so long has ended without this node. */
const RUN_FORGOTTEN_AFTER_MS = 40 * 86_400_000

/**
 * What this node has counted and the master may not have yet, in a file that outlives the process. Every flush appends one line and syncs it. A
 * line has the counters together with the readings that they were counted from: after a kill, what was not written is counted from the earlier
 * readings, so nothing is counted twice.
 */
export class UsageLedger {
  /** Names these counters: if the file is lost, the next one has another name, and begins at zero. */
  readonly counter: string
  readonly #file: string
  readonly #log: Log
  readonly #days: Days
  readonly #runs: Map<string, KnownRun>
  readonly #volumes: Map<VolumeId, KnownVolume>
  #settledTo: UsageDay
  #bytes = 0
  #dirtyDays = new Map<UsageDay, Set<AppName>>()
  #dirtyRuns = new Set<string>()
  #dirtyVolumes = new Set<VolumeId>()
  #flushing: Promise<void> = Promise.resolve()
  #isWell = true

  private constructor(file: string, log: Log, lines: readonly Line[]) {
    this.#file = file
    this.#log = log
    this.#days = new Map()
    this.#runs = new Map()
    this.#volumes = new Map()
    this.#settledTo = ''
    this.counter = lines.find(({ counter }) => counter !== undefined)?.counter ?? randomUUID()
    for (const line of lines) this.#take(line)
  }

  /** Reads the file, and writes it anew without what later lines replace. */
  static async open(folder: string, now: number, log: Log): Promise<UsageLedger> {
    const file = `${folder}/ledger.ndjson`
    const ledger = new UsageLedger(file, log, linesOf(await readIfThere(file)))
    for (const [id, { at }] of ledger.#runs) if (at < now - RUN_FORGOTTEN_AFTER_MS) ledger.#runs.delete(id)
    await ledger.#rewrite()
    return ledger
  }

  run(id: string): KnownRun | undefined {
    return this.#runs.get(id)
  }

  volume(id: VolumeId): KnownVolume | undefined {
    return this.#volumes.get(id)
  }

  /** The volumes that were measured, and not found gone. */
  get volumes(): readonly VolumeId[] {
    return [...this.#volumes.keys()]
  }

  /** Adds what the app used between two moments of the wall clock, in equal measure. What belongs to a day that is settled goes to the day after. */
  add(app: AppName, from: number, to: number, used: Partial<UsageCounters>): void {
    const { requests = 0, egressBytes = 0, ...rest } = used
    const shares = sharesByDay(from, to)
    for (const [index, { day: of, share }] of shares.entries()) {
      const isLast = index === shares.length - 1
      const part = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, value * share]))
      // Whole numbers are not divided.
      const whole = isLast ? { requests, egressBytes } : {}
      const day = of > this.#settledTo ? of : dayAfter(this.#settledTo)
      const apps = this.#days.get(day) ?? new Map<AppName, UsageCounters>()
      this.#days.set(day, apps.set(app, sumOfUsage(apps.get(app) ?? {}, { ...part, ...whole })))
      this.#dirtyDays.set(day, (this.#dirtyDays.get(day) ?? new Set()).add(app))
    }
  }

  keepRun(id: string, run: KnownRun | undefined): void {
    if (run === undefined) this.#runs.delete(id)
    else this.#runs.set(id, run)
    this.#dirtyRuns.add(id)
  }

  keepVolume(id: VolumeId, volume: KnownVolume | undefined): void {
    if (volume === undefined) this.#volumes.delete(id)
    else this.#volumes.set(id, volume)
    this.#dirtyVolumes.add(id)
  }

  get days(): readonly UsageDay[] {
    return [...this.#days.keys()].toSorted()
  }

  ofDay(day: UsageDay): ReadonlyMap<AppName, UsageCounters> {
    return this.#days.get(day) ?? new Map()
  }

  /** The master has all of the days up to this one, and nothing is added to them any more. */
  settle(day: UsageDay): void {
    if (day <= this.#settledTo) return
    this.#settledTo = day
    for (const one of this.#days.keys()) if (one <= day) this.#days.delete(one)
    for (const one of this.#dirtyDays.keys()) if (one <= day) this.#dirtyDays.delete(one)
  }

  /** Resolves when all that was added before this call is on the disk, or could not be written: then the next call writes it. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#flush())
    return this.#flushing
  }

  async #flush(): Promise<void> {
    const [days, runs, volumes] = [this.#dirtyDays, this.#dirtyRuns, this.#dirtyVolumes]
    if (days.size + runs.size + volumes.size === 0) return
    const line = this.#lineOf(days, runs, volumes)
    this.#dirtyDays = new Map()
    this.#dirtyRuns = new Set()
    this.#dirtyVolumes = new Set()
    try {
      if (this.#bytes > MOST_BYTES) await this.#rewrite()
      else await this.#append(line)
      if (!this.#isWell) this.#log.info('usage is written again', { file: this.#file })
      this.#isWell = true
    } catch (cause) {
      for (const [day, apps] of days)
        if (this.#days.has(day)) this.#dirtyDays.set(day, new Set([...(this.#dirtyDays.get(day) ?? []), ...apps]))
      for (const id of runs) this.#dirtyRuns.add(id)
      for (const id of volumes) this.#dirtyVolumes.add(id)
      // A part of a line may be in the file: what follows must not join it.
      this.#bytes = Number.POSITIVE_INFINITY
      if (this.#isWell) this.#log.warn('usage is not written', { file: this.#file, full: isNoSpace(cause), cause })
      this.#isWell = false
    }
  }

  #lineOf(
    days: ReadonlyMap<UsageDay, ReadonlySet<AppName>>,
    runs: Iterable<string>,
    volumes: Iterable<VolumeId>,
  ): Line {
    const ofDay = (day: UsageDay, apps: Iterable<AppName>) =>
      Object.fromEntries(
        [...apps].flatMap(app => {
          const used = this.#days.get(day)?.get(app)
          return used === undefined ? [] : [[app, used]]
        }),
      )
    return {
      days: Object.fromEntries([...days].map(([day, apps]) => [day, ofDay(day, apps)])),
      runs: Object.fromEntries([...runs].map(id => [id, this.#runs.get(id) ?? null])),
      volumes: Object.fromEntries([...volumes].map(id => [id, this.#volumes.get(id) ?? null])),
      settledTo: this.#settledTo,
    }
  }

  async #append(line: Line): Promise<void> {
    const text = `${JSON.stringify(line)}\n`
    const file = await open(this.#file, 'a', 0o600)
    try {
      await file.writeFile(text)
      await file.datasync()
    } finally {
      await file.close()
    }
    this.#bytes += text.length
  }

  async #rewrite(): Promise<void> {
    const days = new Map([...this.#days].map(([day, apps]) => [day, new Set(apps.keys())]))
    const line = { counter: this.counter, ...this.#lineOf(days, this.#runs.keys(), this.#volumes.keys()) }
    const text = `${JSON.stringify(line)}\n`
    await writeWhole(this.#file, text)
    this.#bytes = text.length
  }

  #take({ days = {}, runs = {}, volumes = {}, settledTo }: Line): void {
    for (const [day, apps] of Object.entries(days)) {
      const of = this.#days.get(day) ?? new Map<AppName, UsageCounters>()
      for (const [app, used] of Object.entries(apps)) of.set(app as AppName, used)
      this.#days.set(day, of)
    }
    for (const [id, run] of Object.entries(runs)) {
      if (run === null) this.#runs.delete(id)
      else this.#runs.set(id, run)
    }
    for (const [id, volume] of Object.entries(volumes)) {
      if (volume === null) this.#volumes.delete(id as VolumeId)
      else this.#volumes.set(id as VolumeId, volume)
    }
    if (settledTo !== undefined) this.settle(settledTo)
  }
}

/** The lines of the file. The last one may have been cut short by a kill; then it was never acted on. */
function linesOf(text: string | undefined): readonly Line[] {
  return (text ?? '').split('\n').flatMap((line): Line[] => {
    try {
      return line === '' ? [] : [JSON.parse(line) as Line]
    } catch {
      return []
    }
  })
}

const dayAfter = (day: UsageDay): UsageDay =>
  new Date(Date.parse(`${day}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10)
