import { pause } from '../../lib/abort.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { asShadowError, isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import { sayPause } from '../../model/pause.ts'
import { toMs } from '../../model/quantities.ts'
import { type Schedule, type ScheduleRun, sayAction } from '../../model/schedule.ts'
import type { Relay } from '../relay.ts'
import { aheadMs, dueOf, nextOf } from './due.ts'
import type { ScheduleRecords } from './records.ts'

type Parts = {
  readonly records: ScheduleRecords
  /** The app; undefined: there is none of this name. */
  readonly find: (app: AppName) => Promise<App | undefined>
  readonly relay: Pick<Relay, 'keep' | 'runScheduled'>
  readonly clock: Clock
  readonly log: Log
}

type Known = { readonly etag: string; readonly createdAt: string; readonly items: readonly Schedule[] }

/** One that was removed and registered again is another app, and has none of these schedules. */
type Named = Pick<App, 'name' | 'createdAt'>

/** How often each master looks at the times of schedules. */
const TICK_EVERY_MS = 1_000
/** The journal tells of schedules that others have changed. A list of all finds what it did not tell. */
const READ_ALL_EVERY_MS = 600_000
const AT_ONCE = 16
const MOST_RUNNING = 64
const KEPT_AGAIN_EVERY_MS = 60_000
const KEPT_FOR_MS = 150_000
/** A run without an end for so long after its time was up is lost: its master has ended. */
const LOST_AFTER_MS = 60_000

/**
 * Runs schedules when their times have come. Each master does, and they agree by the conditional write of `records.take`: each time is for one
 * run. A master that dies in a run leaves it without an end; the others find it lost, and do not repeat what may have been done already.
 */
export class ScheduleTicker {
  readonly #parts: Parts
  readonly #known = new Map<AppName, Known>()
  readonly #running = new Set<Promise<void>>()
  // When the next time of a schedule comes: to find it anew each second would cost too much.
  readonly #nextAt = new WeakMap<Schedule, number>()
  readonly #keptAt = new Map<string, number>()
  /** Apps whose schedules have changed, and are to be read. */
  readonly #changed = new Set<AppName>()
  #readAllAt = Number.NEGATIVE_INFINITY
  #isWell = true
  readonly #ending = new AbortController()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Schedules of the app have changed, here or elsewhere: they are read again at once. */
  changed(app: AppName): void {
    this.#changed.add(app)
  }

  /** Nobody knows which schedules have changed. */
  missed(): void {
    this.#readAllAt = Number.NEGATIVE_INFINITY
  }

  /** Runs schedules until the signal aborts; then waits for the runs under way, which are ended. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#ending.abort(signal.reason), { once: true })
    while (!signal.aborted) {
      await this.tick(signal)
      await pause(this.#parts.clock, TICK_EVERY_MS, signal).catch(() => undefined) // an abort ends the loop at its head
    }
    await Promise.all(this.#running)
  }

  /** Takes the times that have come; their runs go on behind it. */
  async tick(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts
    try {
      if (clock.now() - this.#readAllAt >= READ_ALL_EVERY_MS) await this.#readAll()
      await this.#readChanged()
      for (const [app, { createdAt, items }] of this.#known)
        for (const schedule of items) await this.#look({ name: app, createdAt } as App, schedule, signal)
      if (!this.#isWell) log.info('schedules run again')
      this.#isWell = true
    } catch (cause) {
      // Logged once: the store may be away for a long time.
      if (this.#isWell) log.warn('schedules do not run', { code: asShadowError(cause).code, cause })
      this.#isWell = false
    }
  }

  /** Resolves when no run is under way here. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  async #readAll(): Promise<void> {
    const { records, clock } = this.#parts
    const at = clock.now()
    const versions = await records.versions()
    for (const app of this.#known.keys()) if (!versions.has(app)) this.#known.delete(app)
    for (const [app, etag] of versions) if (this.#known.get(app)?.etag !== etag) this.#changed.add(app)
    this.#readAllAt = at
  }

  async #readChanged(): Promise<void> {
    await mapAtMost(AT_ONCE, [...this.#changed], async app => {
      this.#changed.delete(app) // before the read: a change that comes meanwhile is read again
      try {
        const found = await this.#parts.records.read(app)
        if (found === undefined) this.#known.delete(app)
        else this.#known.set(app, found)
      } catch (cause) {
        this.#changed.add(app)
        throw cause
      }
    })
  }

  async #look(of: Named, schedule: Schedule, signal: AbortSignal): Promise<void> {
    const { records, clock } = this.#parts
    const now = clock.wall()
    await this.#findLost(of, schedule, now)
    this.#keepAwake(of, schedule, now, signal)
    if (this.#running.size >= MOST_RUNNING) return // the next tick finds it again
    if (now < (this.#nextAt.get(schedule) ?? 0)) return
    const due = dueOf(schedule, now)
    if (due === undefined) {
      this.#nextAt.set(schedule, (nextOf(schedule, now) ?? Number.POSITIVE_INFINITY) - aheadMs(schedule))
      return
    }
    const missed = due.missed > 0 ? { missed: due.missed } : {}
    const at = timestamp(clock)
    const run: ScheduleRun = due.isTooLate
      ? { tick: due.tick, startedAt: at, endedAt: at, outcome: 'missed', ...missed }
      : { tick: due.tick, startedAt: at, endedAt: null, outcome: 'running', ...missed }
    const isOurs = await records.take(of as App, schedule.id, run)
    this.#replace(of.name, { ...schedule, lastTick: due.tick, runs: [run, ...schedule.runs] })
    if (!isOurs) this.changed(of.name)
    else if (due.isTooLate)
      this.#parts.log.warn('schedule missed', { app: of.name, schedule: schedule.id, tick: due.tick })
    else this.#start(of, schedule, due.tick, signal)
  }

  /** Does now what the schedule does at its times; resolves when that has ended. Fails with `not-found`. */
  async runNow(app: App, id: string): Promise<ScheduleRun> {
    const { records, clock } = this.#parts
    const at = timestamp(clock)
    const run: ScheduleRun = { tick: at, startedAt: at, endedAt: null, outcome: 'running', byHand: true }
    const schedule = await records.begin(app, id, run)
    const running = this.#perform(app, schedule, at, this.#ending.signal)
    const counted = running.then(() => undefined).finally(() => this.#running.delete(counted))
    this.#running.add(counted)
    return { ...run, ...(await running), endedAt: timestamp(clock) }
  }

  #start(of: Named, schedule: Schedule, tick: string, signal: AbortSignal): void {
    const running = this.#perform(of, schedule, tick, signal)
      .then(() => undefined)
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /** Runs it, records how it ended and resolves with that. Never fails. */
  async #perform(of: Named, schedule: Schedule, tick: string, signal: AbortSignal): Promise<Partial<ScheduleRun>> {
    const { records, log } = this.#parts
    const { id } = schedule
    const end = await this.#resultOf(of, schedule, tick, signal).catch((error: unknown) => {
      const { code, message } = asShadowError(error)
      return { outcome: 'failed' as const, detail: `${code}: ${message.split('\n', 1)[0]}`.slice(0, 500) }
    })
    log.info('schedule ran', { app: of.name, schedule: id, tick, ...end, lastLines: undefined })
    await records
      .ended(of as App, id, tick, end)
      .catch(cause => log.warn('run of schedule not recorded', { app: of.name, schedule: id, tick, cause }))
    this.changed(of.name)
    return end
  }

  async #resultOf(of: Named, schedule: Schedule, tick: string, signal: AbortSignal): Promise<Partial<ScheduleRun>> {
    const { find, relay } = this.#parts
    const app = await find(of.name)
    if (app?.createdAt !== of.createdAt) return { outcome: 'failed', detail: 'the app was removed' }
    if (app.paused !== undefined)
      return { outcome: 'skipped', detail: `the app is ${sayPause(app.paused)}`.slice(0, 500) }
    const { action, id, within } = schedule
    const what = `schedule ${id}: ${sayAction(action)}`.slice(0, 200)
    const withinMs = toMs(within)
    if (action.kind === 'wake') {
      const forMs = Math.min(KEPT_FOR_MS, Math.ceil(this.#keptUntil(schedule, tick) - this.#parts.clock.wall()))
      await relay.keep(app, { forMs: Math.max(1_000, forMs), why: what }, signal)
      return { outcome: 'done' }
    }
    const asked = action.kind === 'command' ? { ...action, command: [...action.command] } : action
    const { status, exitCode, lastLines } = await relay.runScheduled(app, { what, withinMs, action: asked }, signal)
    const isGood = action.kind === 'command' ? exitCode === 0 : status !== undefined && status < 400
    return {
      outcome: isGood ? 'done' : 'failed',
      ...(status !== undefined && { status }),
      ...(exitCode !== undefined && { exitCode }),
      ...(lastLines !== '' && { lastLines }),
    }
  }

  #keptUntil({ action }: Schedule, tick: string): number {
    return Date.parse(tick) + (action.kind === 'wake' ? toMs(action.for) : 0)
  }

  /** Asks the node again and again to keep the app awake, for as long as its schedule says; each master does, whichever took the run. */
  #keepAwake(of: Named, schedule: Schedule, now: number, signal: AbortSignal): void {
    if (schedule.action.kind !== 'wake') return
    for (const { tick, outcome, startedAt, byHand } of schedule.runs)
      if (outcome !== 'missed' && (tick === schedule.lastTick || (byHand === true && outcome === 'done')))
        this.#keepAwakeFor(of, schedule, { tick, startedAt }, now, signal)
  }

  #keepAwakeFor(
    { name, createdAt }: Named,
    schedule: Schedule,
    { tick, startedAt }: Pick<ScheduleRun, 'tick' | 'startedAt'>,
    now: number,
    signal: AbortSignal,
  ): void {
    const { find, relay, clock, log } = this.#parts
    const { action, id } = schedule
    const leftMs = this.#keptUntil(schedule, tick) - now
    const key = `${id} ${tick}`
    const before = this.#keptAt.get(key) ?? Date.parse(startedAt) + clock.now() - now
    if (leftMs <= 0) return void this.#keptAt.delete(key)
    if (clock.now() - before < KEPT_AGAIN_EVERY_MS) return
    this.#keptAt.set(key, clock.now())
    const keep = async (): Promise<void> => {
      const app = await find(name)
      if (app?.createdAt !== createdAt || app.paused !== undefined) return
      const why = `schedule ${id}: ${sayAction(action)}`.slice(0, 200)
      await relay.keep(app, { forMs: Math.max(1_000, Math.min(KEPT_FOR_MS, Math.ceil(leftMs))), why }, signal)
    }
    keep().catch(cause => log.debug('app not kept awake', { app: name, schedule: id, cause }))
  }

  async #findLost(of: Named, schedule: Schedule, now: number): Promise<void> {
    const { records } = this.#parts
    const lostAfterMs = toMs(schedule.within) + LOST_AFTER_MS + aheadMs(schedule)
    const isLost = ({ outcome, startedAt }: ScheduleRun): boolean =>
      outcome === 'running' && now - Date.parse(startedAt) > lostAfterMs
    if (!schedule.runs.some(isLost)) return
    this.changed(of.name)
    // Nobody tells of ends: it may have ended long ago.
    const stored = (await records.read(of.name))?.items.find(({ id }) => id === schedule.id)
    for (const { tick } of stored?.runs.filter(isLost) ?? [])
      await records.ended(of as App, schedule.id, tick, {
        outcome: 'lost',
        detail: 'the master that had it ended before it did',
      })
  }

  #replace(app: AppName, by: Schedule): void {
    const known = this.#known.get(app)
    if (known === undefined) return
    this.#known.set(app, { ...known, items: known.items.map(one => (one.id === by.id ? by : one)) })
  }
}

/** For `find`: an app that is not there is none. */
export const orNone = (error: unknown): undefined => {
  if (!isFailure(error, 'app-not-found')) throw error
}
