import { orAborted, pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { App } from '../../model/app.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import { reservedBy } from '../../model/placement.ts'
import { isOver } from '../../model/session.ts'
import type { Apps } from '../apps.ts'
import type { ChangeStream } from '../change-stream.ts'
import { hasPool, type Kept } from '../kept.ts'
import type { MasterLease } from '../master-lease.ts'
import type { Nodes } from '../nodes.ts'
import { nameFor } from './names.ts'
import type { SessionIndex } from './session-index.ts'
import { warmSessionOf } from './session-of.ts'
import type { Sessions } from './sessions.ts'
import { type Pool, type PoolWork, workOf } from './warm-work.ts'

type Parts = {
  readonly kept: Pick<Kept, 'pools'>
  readonly apps: Pick<Apps, 'changeSession' | 'find'>
  readonly nodes: Pick<Nodes, 'list' | 'find'>
  readonly changes: Pick<ChangeStream, 'listen'>
  readonly index: SessionIndex
  readonly sessions: Pick<Sessions, 'spawns' | 'end'>
  readonly lease: MasterLease
  readonly clock: Clock
  readonly log: Log
}

/** Nodes come, go, and get room again; and another master may have died that had the lease. */
const LOOKED_EVERY_MS = 5_000
const LOOKED_AT_MOST_EVERY_MS = 100
const NODES_READ_AT_MOST_EVERY_MS = 2_000
const STARTED_AT_ONCE = 4
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 300_000
const NO_FAILURE_FOR_MS = 600_000

type Failing = { readonly failures: number; readonly at: number; readonly notBefore: number }

/**
 * Keeps sessions of templates started ahead of time. Every master runs one; the one that has the lease works. What it does is seen in the
 * documents of the sessions, so another master goes on where it died. Without a template that has a pool it sets no timer.
 */
export class WarmFiller implements Disposable {
  readonly #parts: Parts
  readonly #listening: Disposable
  readonly #templates = new Map<AppName, App>()
  /** Sessions that are being started here, and their templates. */
  readonly #starting = new Map<AppName, AppName>()
  readonly #ending = new Set<AppName>()
  readonly #failing = new Map<AppName, Failing>()
  readonly #underWay = new Set<Promise<void>>()
  #cordoned: ReadonlySet<NodeName> = new Set()
  #nodesAt = Number.NEGATIVE_INFINITY
  #mustRead = true
  #woken = new AbortController()
  #isWell = true

  constructor(parts: Parts) {
    this.#parts = parts
    this.#listening = parts.changes.listen({
      changed: app => this.#changed(app),
      removed: name => {
        if (this.#templates.delete(name) || this.#hasWork) this.#woken.abort()
      },
      restart: () => {
        this.#mustRead = true
        this.#woken.abort()
      },
    })
  }

  /** Looks again and again, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, lease } = this.#parts
    while (!signal.aborted) {
      this.#woken = new AbortController()
      const woken = AbortSignal.any([signal, this.#woken.signal])
      try {
        await this.look(signal)
        if (!this.#isWell) log.info('pools of warm sessions are filled again')
        this.#isWell = true
      } catch (cause) {
        if (signal.aborted) break
        if (this.#isWell) log.warn('pools of warm sessions not filled', { code: asShadowError(cause).code, cause })
        this.#isWell = false
      }
      const waiting =
        this.#mustRead || this.#hasWork ? pause(clock, this.#untilNextMs(), woken) : orAborted(forever(), woken)
      await waiting.catch(() => undefined) // the head of the loop ends it
      if (!signal.aborted && this.#hasWork) await pause(clock, LOOKED_AT_MOST_EVERY_MS, signal).catch(() => undefined)
    }
    await Promise.all(this.#underWay)
    await lease.release().catch(cause => log.debug('lease of the pools not released', { cause }))
  }

  /** Starts what is missing, and ends what is too many; that goes on behind it. */
  async look(signal: AbortSignal): Promise<void> {
    const { index, lease } = this.#parts
    if (this.#mustRead) await this.#readAll()
    if (!this.#hasWork || !index.isWhole) return
    const cordoned = await this.#cordonedNodes()
    const names = new Set([...this.#templates.keys(), ...index.pools])
    const all = [...names].map(name => [name, workOf(this.#poolOf(name, cordoned))] as const)
    if (all.every(([, { end, missing, unfinished }]) => end.length + missing + unfinished.length === 0)) return
    if (!(await lease.hold())) return
    for (const [name, work] of all) this.#do(name, work, signal)
  }

  async #cordonedNodes(): Promise<ReadonlySet<NodeName>> {
    const { nodes, clock } = this.#parts
    if (clock.now() - this.#nodesAt >= NODES_READ_AT_MOST_EVERY_MS) {
      const all = await nodes.list()
      this.#cordoned = new Set(all.flatMap(({ name, cordon }) => (cordon === undefined ? [] : name)))
      this.#nodesAt = clock.now()
    }
    return this.#cordoned
  }

  #changed(app: App): void {
    const { name, session } = app
    const had = this.#templates.has(name)
    if (hasPool(app)) this.#templates.set(name, app)
    else this.#templates.delete(name)
    // One that waited in the pool and has died: it may do so again and again.
    if (session?.warm !== undefined && session.ending?.reason === 'crashed') this.#failed(session.template)
    if (had || hasPool(app) || (session !== undefined && this.#hasWork)) this.#woken.abort()
  }

  get #hasWork(): boolean {
    return this.#templates.size > 0 || !this.#parts.index.pools[Symbol.iterator]().next().done
  }

  #untilNextMs(): number {
    if (!this.#parts.index.isWhole) return LOOKED_AT_MOST_EVERY_MS
    const now = this.#parts.clock.now()
    const retries = [...this.#failing.values()].map(({ notBefore }) => notBefore - now).filter(ms => ms > 0)
    return Math.min(LOOKED_EVERY_MS, ...retries)
  }

  async #readAll(): Promise<void> {
    this.#mustRead = false
    try {
      const found = await this.#parts.kept.pools()
      for (const { app } of found) this.#templates.set(app.name, app)
      for (const name of this.#templates.keys())
        if (!found.some(({ app }) => app.name === name)) this.#templates.delete(name)
    } catch (cause) {
      this.#mustRead = true
      throw cause
    }
  }

  #poolOf(name: AppName, cordoned: ReadonlySet<NodeName>): Pool {
    const { index } = this.#parts
    return {
      template: this.#templates.get(name),
      used: index.count(name),
      sessions: index.warm(name),
      starting: [...this.#starting].flatMap(([session, template]) => (template === name ? session : [])),
      cordoned,
    }
  }

  #do(template: AppName, { end, missing, unfinished }: PoolWork, signal: AbortSignal): void {
    const { clock } = this.#parts
    for (const name of end) if (!this.#ending.has(name)) this.#track(this.#end(name, signal))
    const app = this.#templates.get(template)
    if (app === undefined || clock.now() < (this.#failing.get(template)?.notBefore ?? 0)) return
    const starts = [...unfinished, ...Array.from({ length: missing }, () => nameFor(template, undefined))]
    for (const name of starts) {
      if (this.#starting.size >= STARTED_AT_ONCE) return // the end of one of them looks again
      this.#track(this.#start(app, name, unfinished.includes(name), signal))
    }
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => {
      this.#underWay.delete(tracked)
      this.#woken.abort()
    })
    this.#underWay.add(tracked)
  }

  /** Makes the session if it is not there, starts it, and lets it be handed out. Never fails. */
  async #start(template: App, name: AppName, isThere: boolean, signal: AbortSignal): Promise<void> {
    const { apps, sessions, clock, log } = this.#parts
    this.#starting.set(name, template.name)
    try {
      const { app } = isThere ? await apps.find(name) : await this.#make(template, name, signal)
      await sessions.spawns.ready(app, signal)
      await apps.changeSession(name, now =>
        now.warm === undefined || isOver(now, clock.wall())
          ? undefined
          : { ...now, warm: { ...now.warm, ready: true } },
      )
      log.info('session started ahead of time', { session: name })
    } catch (cause) {
      if (signal.aborted) return // the next master goes on
      this.#failed(template.name)
      log.warn('session not started ahead of time', { template: template.name, code: asShadowError(cause).code, cause })
    } finally {
      this.#starting.delete(name)
    }
  }

  #make(template: App, name: AppName, signal: AbortSignal) {
    const { sessions, nodes } = this.#parts
    /** It takes room that is free, and not that of apps which nobody uses now. */
    const fits = async (node: NodeName): Promise<boolean> => {
      const { room } = (await nodes.find(node)) ?? {}
      return room === undefined || room.freeBytes >= reservedBy(template.task)
    }
    const session = warmSessionOf(template)
    return sessions.spawns.make(template, { name, session, over: { state: 'none' }, fits }, signal)
  }

  async #end(name: AppName, signal: AbortSignal): Promise<void> {
    const { sessions, log } = this.#parts
    this.#ending.add(name)
    const how = { reason: 'asked', kind: 'soft', detail: 'its template keeps other ones started' } as const
    try {
      await sessions.end(name, how, signal, ({ session }) => session.warm !== undefined)
    } catch (cause) {
      const isGone = isFailure(cause, 'session-not-found') // or somebody has taken it
      if (!isGone && !signal.aborted) log.warn('session of a pool not ended', { session: name, cause })
    } finally {
      this.#ending.delete(name)
    }
  }

  /** The template is left alone for a while: longer each time. */
  #failed(template: AppName): void {
    const now = this.#parts.clock.now()
    const before = this.#failing.get(template)
    if (before !== undefined && now < before.notBefore) return
    const failures = before === undefined || now - before.at > NO_FAILURE_FOR_MS ? 1 : before.failures + 1
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS)
    this.#failing.set(template, { failures, at: now, notBefore: now + pauseMs })
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]()
  }
}

const forever = (): Promise<never> => new Promise(() => undefined)
