import type { Clock } from '../../lib/clock.ts'
import { asShadowError, isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import { isOver, type Session, sessionNotFound } from '../../model/session.ts'
import type { Apps } from '../apps.ts'
import type { Nodes } from '../nodes.ts'
import type { Records } from '../records.ts'
import type { Relay } from '../relay.ts'
import type { SessionEnds } from './ends.ts'
import type { SessionIndex } from './session-index.ts'
import { stampOf } from './session-of.ts'
import type { Live } from './views.ts'

type Parts = {
  readonly records: Pick<Records, 'read'>
  readonly apps: Pick<Apps, 'changeSession'>
  readonly relay: Pick<Relay, 'keep'>
  readonly nodes: Pick<Nodes, 'find'>
  readonly index: Pick<SessionIndex, 'warm'>
  readonly ends: Pick<SessionEnds, 'end'>
  readonly clock: Clock
  readonly log: Log
}
/** What the session is for whoever takes it. */
type Become = () => Session

/** Its node must say within this time that the session lives: starting another one takes not much longer. */
const ANSWERS_WITHIN_MS = 2_000
/** The idle time begins anew when it is taken, which the node may hear of a moment later. */
const KEPT_AWAKE_FOR_MS = 2_000

export type WarmPool = ReturnType<typeof warmPool>

/** Hands out the sessions that were started ahead of time. The conditional write of its document gives each to one caller: decision 074. */
export function warmPool({ records, apps, relay, nodes, index, ends, clock, log }: Parts) {
  /** Those that a call of this master is about to take. */
  const asked = new Set<AppName>()

  /** Takes it, if it is still nobody's. Fails with `session-not-found`. */
  const take = async (name: AppName, become: Become): Promise<Live> =>
    (await apps.changeSession(name, now => {
      if (now.warm === undefined || isOver(now, clock.wall())) throw sessionNotFound(name)
      return { ...become(), ...(now.node !== undefined && { node: now.node }) }
    })) as Live

  /** Whether it can be handed out: it is as its template says, on a node that takes sessions, and its process lives. */
  async function isGood(name: AppName, template: App, signal: AbortSignal): Promise<boolean> {
    const record = await records.read(name)
    if (record.state !== 'live') return false
    const { session } = record.app
    if (session?.warm?.of !== stampOf(template) || isOver(session, clock.wall())) return false
    const node = session.node && (await nodes.find(session.node))
    if (node === undefined || node.cordon !== undefined) return false
    return lives(record.app, signal)
  }

  /** Whether its process lives. That counts as a use. */
  async function lives(app: App, signal: AbortSignal): Promise<boolean> {
    const within = AbortSignal.any([signal, AbortSignal.timeout(ANSWERS_WITHIN_MS)])
    try {
      await relay.keep(app, { forMs: KEPT_AWAKE_FOR_MS, why: 'somebody connects' }, within)
      return true
    } catch (error) {
      signal.throwIfAborted()
      log.info('warm session not taken', { session: app.name, code: asShadowError(error).code })
      return false
    }
  }

  return {
    /**
     * Takes this one, which another call has claimed for the same key without taking it. One that does not answer is ended. Fails with
     * `session-not-found` if it cannot be taken any more.
     */
    async takeClaimed({ app }: Live, become: Become, signal: AbortSignal): Promise<Live> {
      if (await lives(app, signal)) return take(app.name, become)
      const how = { reason: 'lost', kind: 'hard', detail: 'its node did not say that it lives' } as const
      await ends.end(app.name, how, signal, ({ session }) => session.warm !== undefined)
      throw sessionNotFound(app.name)
    },

    /**
     * Takes one; undefined: none is there. `claim`: what has to be written before, which may fail by a race. Of several calls here each tries
     * another one first, and calls of other masters lose by the write.
     */
    async takeAny(
      template: App,
      become: Become,
      claim: (name: AppName) => Promise<void>,
      signal: AbortSignal,
    ): Promise<Live | undefined> {
      const of = stampOf(template)
      for (const [name, { warm }] of shuffled([...index.warm(template.name)])) {
        if (warm?.of !== of || !warm.ready || asked.has(name)) continue
        asked.add(name)
        try {
          if (!(await isGood(name, template, signal))) continue
          await claim(name)
          return await take(name, become)
        } catch (error) {
          if (!isFailure(error, 'session-not-found')) throw error // another call has taken it
        } finally {
          asked.delete(name)
        }
      }
      return undefined
    },
  }
}

/** In an order that is another one at each master. */
function shuffled<T>(items: T[]): readonly T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1))
    ;[items[last], items[other]] = [items[other] as T, items[last] as T]
  }
  return items
}
