import { orAborted, pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { InstanceView } from '../../model/instance.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import { type SessionEnd, sessionParts } from '../../model/session.ts'
import type { ChangeStream } from '../change-stream.ts'
import type { Nodes } from '../nodes.ts'
import type { Records } from '../records.ts'
import type { Relay } from '../relay.ts'
import type { KnownSession, SessionIndex } from './session-index.ts'
import type { SessionPauses } from './session-pauses.ts'
import type { Sessions } from './sessions.ts'
import type { SessionApp } from './views.ts'

type Parts = {
  readonly index: SessionIndex
  readonly records: Pick<Records, 'read' | 'names'>
  readonly changes: Pick<ChangeStream, 'listen'>
  readonly sessions: Pick<Sessions, 'end'>
  readonly pauses: Pick<SessionPauses, 'pauseInTime'>
  readonly nodes: Pick<Nodes, 'list'>
  readonly relay: Pick<Relay, 'instances'>
  readonly clock: Clock
  readonly log: Log
}

const LOOKED_AT_MOST_EVERY_MS = 100
const NODES_LOOKED_AT_EVERY_MS = 2_000
/** A session that no container runs for is ended after this time: its node has told nobody, or its master died before the wake. */
const INSTANCES_LOOKED_AT_EVERY_MS = 30_000
const READ_AGAIN_AFTER_MS = 5_000
const AT_ONCE = 16
const PAGE = 500

/**
 * Ends sessions whose time is over, and those whose node is lost. Each master does: the end of a session is a conditional write, so that one of
 * them counts.
 */
export class SessionKeeper implements Disposable {
  readonly #parts: Parts
  readonly #listening: Disposable
  /** When each was seen first, by the clock. */
  readonly #seenAt = new Map<AppName, number>()
  readonly #ending = new Set<AppName>()
  #mustRead = true
  /** Aborts when there is something to look at before its time. */
  #woken = new AbortController()
  #nodesAt = Number.NEGATIVE_INFINITY
  #instancesAt = Number.NEGATIVE_INFINITY
  #isWell = true

  constructor(parts: Parts) {
    this.#parts = parts
    const { changes, index } = parts
    this.#listening = changes.listen({
      changed: app => {
        index.changed(app)
        if (app.session !== undefined) this.#woken.abort()
      },
      removed: app => index.removed(app),
      restart: () => {
        this.#mustRead = true
        index.isWhole = false
        this.#woken.abort()
      },
    })
  }

  /** Looks again and again, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts
    while (!signal.aborted) {
      this.#woken = new AbortController()
      let waitMs: number | undefined = READ_AGAIN_AFTER_MS
      try {
        await this.look(signal)
        waitMs = this.#untilNextMs()
        if (!this.#isWell) log.info('sessions are looked after again')
        this.#isWell = true
      } catch (cause) {
        if (this.#isWell) log.warn('sessions not looked after', { code: asShadowError(cause).code, cause })
        this.#isWell = false
      }
      const woken = AbortSignal.any([signal, this.#woken.signal])
      const waiting = waitMs === undefined ? orAborted(forever(), woken) : pause(clock, waitMs, woken)
      await waiting.catch(() => undefined) // the head of the loop ends it
    }
  }

  /** Ends what has to end now; the ends go on behind it. */
  async look(signal: AbortSignal): Promise<void> {
    const { index, clock } = this.#parts
    if (this.#mustRead) await this.#readAll()
    const wall = clock.wall()
    for (const [name, one] of index.all) {
      const { until, isPausedInTime } = one
      if (until <= wall && isPausedInTime) this.#pause(name, signal)
      else if (until <= wall) this.#end(name, one, { reason: 'lifetime', kind: 'soft' }, signal)
    }
    if (index.all.size === 0) return
    if (clock.now() - this.#nodesAt >= NODES_LOOKED_AT_EVERY_MS) await this.#lookAtNodes(signal)
    if (clock.now() - this.#instancesAt >= INSTANCES_LOOKED_AT_EVERY_MS) await this.#lookAtInstances(signal)
  }

  /** How long there is nothing to look at, unless a session changes; undefined: without sessions, for ever. */
  #untilNextMs(): number | undefined {
    const { index, clock } = this.#parts
    if (index.all.size === 0) return undefined
    const wall = clock.wall()
    let next = NODES_LOOKED_AT_EVERY_MS
    for (const { until } of index.all.values()) next = Math.min(next, until - wall)
    // The end of one that is over is under way.
    return Math.max(next, LOOKED_AT_MOST_EVERY_MS)
  }

  async #readAll(): Promise<void> {
    const { records, index } = this.#parts
    this.#mustRead = false
    try {
      let after: AppName | undefined
      do {
        const page = await records.names(after, PAGE)
        await mapAtMost(
          AT_ONCE,
          page.filter(name => sessionParts(name) !== undefined),
          async name => {
            const record = await records.read(name)
            if (record.state === 'live') index.changed(record.app)
            else index.removed(name)
          },
        )
        after = page.length === PAGE ? page.at(-1) : undefined
      } while (after !== undefined)
      index.isWhole = !this.#mustRead
    } catch (cause) {
      this.#mustRead = true
      throw cause
    }
  }

  async #lookAtNodes(signal: AbortSignal): Promise<void> {
    const { nodes, index, clock } = this.#parts
    this.#nodesAt = clock.now()
    const there = new Set((await nodes.list()).map(({ name }) => name))
    for (const [name, one] of index.all) {
      const { node, endsWithItsNode } = one
      if (endsWithItsNode && node !== undefined && !there.has(node))
        this.#end(name, one, { reason: 'lost', kind: 'hard', detail: `its node ${node} is lost` }, signal)
    }
  }

  async #lookAtInstances(signal: AbortSignal): Promise<void> {
    const { relay, index, clock } = this.#parts
    this.#instancesAt = clock.now()
    for (const name of this.#seenAt.keys()) if (!index.all.has(name)) this.#seenAt.delete(name)
    const known = [...index.all].filter(([, one]) => one.endsWhenIdle)
    if (known.length === 0) return
    const { items, silent } = await relay.instances()
    const byApp = new Map(items.map(one => [one.app, one]))
    for (const [name, one] of known) {
      const seenAt = this.#seenAt.get(name)
      if (seenAt === undefined) this.#seenAt.set(name, clock.now())
      else if (clock.now() - seenAt >= INSTANCES_LOOKED_AT_EVERY_MS) {
        const end = endOf(one, byApp.get(name), silent)
        if (end !== undefined) this.#end(name, one, end, signal)
      }
    }
  }

  /** Ends this one, unless another master has done so: the session that has its name now may be a later one, or may have got more time. */
  #end(name: AppName, one: KnownSession, how: Omit<SessionEnd, 'at'>, signal: AbortSignal): void {
    const { sessions, clock } = this.#parts
    const isMeant = ({ createdAt, session: { until } }: SessionApp): boolean =>
      createdAt === one.createdAt &&
      (how.reason !== 'lifetime' || (until !== undefined && Date.parse(until) <= clock.wall()))
    const end = (): Promise<unknown> => sessions.end(name, how, signal, isMeant).catch(isGone)
    this.#once(name, 'session not ended', how, signal, end)
  }

  #pause(name: AppName, signal: AbortSignal): void {
    this.#once(name, 'sandbox not paused', {}, signal, () => this.#parts.pauses.pauseInTime(name, signal))
  }

  /** Does something about a session, unless that is under way. */
  #once(name: AppName, failed: string, more: object, signal: AbortSignal, act: () => Promise<unknown>): void {
    if (this.#ending.has(name)) return
    this.#ending.add(name)
    act()
      .catch(cause => {
        if (!signal.aborted) this.#parts.log.warn(failed, { session: name, ...more, cause })
      })
      .finally(() => this.#ending.delete(name))
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]()
  }
}

/** How a session ended that its node says nothing of; undefined: it lives, or nobody knows. */
function endOf(
  { node }: KnownSession,
  instance: InstanceView | undefined,
  silent: readonly NodeName[],
): Omit<SessionEnd, 'at'> | undefined {
  if (instance === undefined)
    return node !== undefined && silent.includes(node)
      ? undefined
      : { reason: 'lost', kind: 'hard', detail: 'no node has it' }
  if (instance.phase !== 'asleep') return undefined
  return { reason: instance.stoppedBy === 'idle' ? 'swept' : 'lost', kind: 'soft' }
}

const isGone = (error: unknown): void => {
  if (!isFailure(error, 'session-not-found')) throw error
}

const forever = (): Promise<never> => new Promise(() => undefined)
