import type { z } from 'zod'
import { parseValue } from '../../api/parse-call.ts'
import { RegisterSchema } from '../../api/schemas.ts'
import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { App } from '../../model/app.ts'
import { withoutLastLines } from '../../model/last-lines.ts'
import { type AppName, type NodeName, volumeId } from '../../model/names.ts'
import { sayRejected } from '../../model/placement.ts'
import { toMs } from '../../model/quantities.ts'
import type { Session } from '../../model/session.ts'
import { sourceParts } from '../../model/volume-source.ts'
import type { Apps } from '../apps.ts'
import { definitionOf } from '../definition.ts'
import type { AppRecord } from '../records.ts'
import type { Relay } from '../relay.ts'
import type { AppSecrets } from '../releases/app-secrets.ts'
import type { SessionEnds } from './ends.ts'
import { sessionHosts } from './names.ts'
import { limitsWithin } from './spawn-limits.ts'
import type { Live } from './views.ts'
import type { VolumeCopies } from './volume-copies.ts'

type Parts = {
  readonly apps: Pick<Apps, 'register'>
  readonly secrets: Pick<AppSecrets, 'values'>
  readonly relay: Pick<Relay, 'placement' | 'wake'>
  readonly copies: VolumeCopies
  readonly ends: Pick<SessionEnds, 'end'>
  readonly clock: Clock
  readonly log: Log
}
type Made = {
  readonly name: AppName
  readonly session: Session
  /** Beside the variables of the template. */
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly limits?: Parameters<typeof limitsWithin>[1] | undefined
  readonly by?: string | undefined
  readonly over: AppRecord
  /** Whether the node that was chosen may be used. */
  readonly fits?: ((node: NodeName) => Promise<boolean>) | undefined
}

/** For so long an answer to connect waits for a new session to be ready, so that one that cannot be placed or started is told at once. */
const READY_WITHIN_MS = 2_500

export type SessionSpawns = ReturnType<typeof sessionSpawns>

/** Makes sessions of templates, and starts them. */
export function sessionSpawns({ apps, secrets, relay, copies, ends, clock, log }: Parts) {
  async function register(
    own: App,
    body: z.output<typeof RegisterSchema>,
    fits: (node: NodeName) => Promise<boolean>,
    who: string | undefined,
    over: AppRecord,
  ): Promise<Live> {
    const { name, session, task } = own
    const { node, rejected } = await relay.placement(own)
    if (node === undefined || !(await fits(node)))
      throw new ShadowError(
        'no-node',
        `no node can take the session ${name}: ${sayRejected(rejected) || 'none has room'}`,
        {
          hint: 'shadow node ls',
          facts: { rejected: rejected.length },
          retryAfterMs: 5_000,
        },
      )
    const made = { by: 'register' as const, ...(who !== undefined && { who }) }
    return (await apps.register(
      { ...body, session: { ...(session as Session), node } },
      made,
      task.pinned,
      over,
    )) as Live
  }

  /** Resolves when the process of the session has answered. A session that fails before is removed. */
  async function ready(app: App, stopped?: AbortSignal): Promise<void> {
    const within = AbortSignal.timeout(toMs(app.task.startWithin) + READY_WITHIN_MS)
    try {
      await relay.wake(app, stopped === undefined ? within : AbortSignal.any([within, stopped]))
    } catch (error) {
      if (stopped?.aborted) throw error
      const { code, message, details } = asShadowError(error)
      const exitCode = details.facts?.['exitCode']
      const how = {
        reason: 'crashed' as const,
        kind: 'hard' as const,
        ...(typeof exitCode === 'number' && { exitCode }),
        detail: `${code}: ${withoutLastLines(message)}`.slice(0, 1_000),
      }
      await ends
        .end(app.name, how, new AbortController().signal, ({ createdAt }) => createdAt === app.createdAt)
        .catch(cause => log.warn('session that did not start not removed', { session: app.name, cause }))
      throw error
    }
  }

  return {
    /** Makes the session over what the caller has read under its name. Fails with `already-exists` if that has changed, with `no-node`. */
    async make(template: App, made: Made, signal: AbortSignal): Promise<Live> {
      const { name, session, env = {}, limits = {}, by, over, fits = always } = made
      const { task, domains } = template
      const definition = definitionOf({ task }) as { env: Record<string, string> }
      const body = parseValue(RegisterSchema, {
        ...definition,
        name,
        env: { ...definition.env, ...env },
        limits: limitsWithin(task.limits, limits),
        secrets: await secrets.values(template),
        domains: sessionHosts(name, domains),
      })
      const volume = task.volume && { ...task.volume, id: volumeId(name) }
      const own = { ...template, name, template: undefined, session, task: { ...task, volume } } as App
      const { volumeFrom } = template.template ?? {}
      if (volumeFrom !== undefined && volume !== undefined) {
        const isTheFirst = await copies.make(volume, sourceParts(volumeFrom), by ?? 'shadow', signal)
        if (!isTheFirst) return register(own, body, fits, by, over)
        return register(own, body, fits, by, over).catch(async error => {
          // The volume of a key is there again when the key is.
          if (session.key === undefined) await copies.discard(volume.id)
          throw error
        })
      }
      return register(own, body, fits, by, over)
    },

    ready,

    /** Wakes the new session. Resolves when it is ready, or takes longer than a caller waits; one that fails before leaves nothing behind. */
    async started(app: App, signal: AbortSignal): Promise<void> {
      const waking = ready(app)
      waking.catch(() => undefined) // whoever follows the session sees it end
      await Promise.race([waking, pause(clock, READY_WITHIN_MS, signal)])
    },
  }
}

const always = async (): Promise<boolean> => true
