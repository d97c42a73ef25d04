import { setTimeout as wait } from 'node:timers/promises'
import type { z } from 'zod'
import { RegisterSchema } from '../../api/schemas.ts'
import type { ConnectedSchema, ConnectSchema, SessionViewSchema } from '../../api/session-schemas.ts'
import { pause } from '../../lib/abort.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { asShadowError, isFailure, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { App } from '../../model/app.ts'
import type { Hostname } from '../../model/hostname.ts'
import type { InstanceView } from '../../model/instance.ts'
import { withoutLastLines } from '../../model/last-lines.ts'
import type { AppName } from '../../model/names.ts'
import { type Duration, toMs } from '../../model/quantities.ts'
import {
  isOver,
  type Session,
  type SessionEnd,
  type SessionEndKind,
  sessionNotFound,
  sessionParts,
  TEMPLATE_DEFAULTS,
  type Template,
  tokenCounts,
} from '../../model/session.ts'
import type { Found } from '../app-writes.ts'
import type { Apps } from '../apps.ts'
import { definitionOf } from '../definition.ts'
import type { AppRecord, EndedSession, Records } from '../records.ts'
import type { Relay } from '../relay.ts'
import type { AppSecrets } from '../releases/app-secrets.ts'
import { nameFor, sessionHosts } from './names.ts'
import type { SessionIndex } from './session-index.ts'
import { stateOf } from './states.ts'
import { newToken, withToken } from './tokens.ts'

type Parts = {
  readonly records: Pick<Records, 'read'>
  readonly apps: Pick<Apps, 'find' | 'register' | 'changeSession' | 'remove'>
  readonly secrets: Pick<AppSecrets, 'values'>
  readonly relay: Pick<Relay, 'placement' | 'wake' | 'keep' | 'sleep' | 'instance'>
  readonly index: Pick<SessionIndex, 'count' | 'names'>
  readonly urlOf: (host: Hostname) => string
  readonly clock: Clock
  readonly log: Log
}
type Connect = z.output<typeof ConnectSchema>
type View = z.output<typeof SessionViewSchema>
type Connected = z.output<typeof ConnectedSchema>
type Live = Found & { readonly app: App & { readonly session: Session } }
/** A session with a token for one caller. */
type Got = Live & { readonly token: string | undefined; readonly spawned: boolean }

/** For so long an answer to connect waits for a new session to be ready, so that one that cannot be placed or started is told at once. */
const READY_WITHIN_MS = 2_500
/** For so long a connect waits for the end of the session that had the key. */
const END_WITHIN_MS = 60_000
/** The idle time of a session begins anew at each connect; a node keeps nothing awake for less than this. */
const KEPT_AWAKE_FOR_MS = 1_000
const CONFLICTS = 50
const ENDING_LOOKED_AT_EVERY_MS = 50

export type Sessions = ReturnType<typeof keyedSessions>

/**
 * Sessions: apps that are made from a template, for a key or for nobody else, and that end by themselves. The name of a session follows from
 * its key, so the conditional write of the app's document decides which of many calls makes it: decision 069.
 */
export function keyedSessions({ records, apps, secrets, relay, index, urlOf, clock, log }: Parts) {
  const ending = new Map<AppName, Promise<EndedSession>>()
  const turns = new KeyedMutex<AppName>()

  const read = async (name: AppName): Promise<Exclude<AppRecord, { state: 'none' }>> => {
    const record = await records.read(name)
    if (record.state === 'none' || (record.state === 'live' ? record.app.session : record.session) === undefined)
      throw sessionNotFound(name)
    return record
  }

  const findTemplate = async (name: AppName): Promise<App> => {
    const { app } = await apps.find(name)
    if (app.template !== undefined) return app
    throw new ShadowError('bad-input', `${name} is no template`, { hint: `shadow template create ${name}` })
  }

  async function connect(asked: Connect, by: string | undefined, signal: AbortSignal): Promise<Connected> {
    const template = await findTemplate(asked.template)
    const until = clock.now() + END_WITHIN_MS
    const name = nameFor(template.name, asked.key)
    for (let conflicts = 0; ; ) {
      signal.throwIfAborted()
      try {
        // Calls for one key take turns here: each of them writes the same document.
        const got = await turns.take(name, () => find(template, name, asked, by))
        if (got !== 'over') {
          if (got.spawned) await started(got.app, signal)
          const seen = got.spawned ? await view(got) : await settled(got, until, signal)
          if (seen === undefined) continue
          // To connect is to use it: else it could end between this answer and the visit. One that has ended just now fails here.
          if (!got.spawned && seen.state === 'ready' && got.app.session.whenIdle === 'end')
            await relay.keep(got.app, { forMs: KEPT_AWAKE_FOR_MS, why: 'somebody connects' }, signal)
          return connected(seen, got.token, got.spawned)
        }
        if (clock.now() > until) throw stillEnding(name)
        await end(name, { reason: 'lifetime', kind: 'soft' }, signal)
      } catch (error) {
        // Another master has made, changed or ended it: that counts.
        const isRace = isFailure(error, 'already-exists', 'changed', 'session-not-found')
        if (!isRace || asked.spawn === null || ++conflicts > CONFLICTS) throw error
        await wait(Math.random() * 20, undefined, { signal })
      }
    }
  }

  /** What is seen of a session once its instance does not stop; undefined: the session has ended. Its node tells masters of that in a moment. */
  async function settled(got: Live, until: number, signal: AbortSignal): Promise<View | undefined> {
    for (let now = got; ; ) {
      const seen = await view(now)
      if (seen.state !== 'ending') return seen
      if (clock.now() > until) throw stillEnding(got.app.name)
      await wait(ENDING_LOOKED_AT_EVERY_MS, undefined, { signal })
      const record = await records.read(got.app.name)
      if (record.state !== 'live' || record.app.createdAt !== got.app.createdAt) return undefined
      now = record as Live
      if (isOver(now.app.session, clock.wall())) return undefined
    }
  }

  /** The session of this name with a token for the caller, made if it is not there; `over`: one has still to end. */
  async function find(template: App, name: AppName, asked: Connect, by: string | undefined): Promise<Got | 'over'> {
    const record = await records.read(name)
    if (record.state !== 'live') return spawn(template, name, asked, by)
    const { session } = record.app
    if (session === undefined) throw new ShadowError('bad-input', `${name} is an app that is no session`)
    return isOver(session, clock.wall()) ? 'over' : join(record as Live, asked)
  }

  /** Lets one visitor more into a session that lives. */
  async function join({ app }: Live, asked: Connect): Promise<Got> {
    const { tag } = asked.key ?? {}
    if (app.session.key?.tag !== tag)
      throw new ShadowError(
        'tag-conflict',
        `the session ${app.name} lives with the tag ${said(app.session.key?.tag)}, and was asked for with ${said(tag)}`,
        { hint: `end it first: shadow session end ${app.name}` },
      )
    const { token, stored } = tokenFor(app.session, asked)
    const longer = asked.spawn?.idle
    const found = await apps.changeSession(app.name, now => {
      if (isOver(now, clock.wall())) throw new ShadowError('changed', `the session ${app.name} has begun to end`)
      const idle = longerOf(longer, now.idle, app.task.sleep.idleAfter)
      const next = { ...now, ...(idle !== undefined && { idle }) }
      if (stored !== undefined) return withToken(next, stored, clock.wall())
      return idle === now.idle ? undefined : next
    })
    return { ...(found as Live), token, spawned: false }
  }

  async function spawn(template: App, name: AppName, asked: Connect, by: string | undefined): Promise<Got> {
    if (asked.spawn === null) throw sessionNotFound(name)
    const rules: Template = template.template ?? TEMPLATE_DEFAULTS
    const { most, whenIdle, visitors, authUrl } = rules
    const live = index.count(template.name)
    if (live >= most)
      throw new ShadowError('sessions-full', `${template.name} has ${live} sessions, and may have ${most}`, {
        hint: `shadow session ls --template ${template.name}`,
        retryAfterMs: 5_000,
      })
    const { env, lifetime = rules.lifetime, idle } = asked.spawn
    const base: Session = {
      template: template.name,
      ...(asked.key && { key: asked.key }),
      ...(lifetime !== undefined && { until: after(toMs(lifetime)) }),
      ...(idle !== undefined && { idle }),
      whenIdle,
      visitors,
      ...(authUrl !== undefined && { authUrl }),
      tokens: [],
    }
    const { token, stored } = tokenFor(base, asked)
    const session = stored === undefined ? base : { ...base, tokens: [stored] }
    const definition = definitionOf({ task: template.task }) as { env: Record<string, string> }
    const body = RegisterSchema.parse({
      ...definition,
      name,
      env: { ...definition.env, ...env },
      secrets: await secrets.values(template),
      domains: sessionHosts(name, template.domains),
    })
    const { node, rejected } = await relay.placement({ ...template, name } as App)
    if (node === undefined)
      throw new ShadowError('no-node', `no node can take a session of ${template.name}`, {
        hint: 'shadow node ls',
        facts: { rejected: rejected.length },
        retryAfterMs: 5_000,
      })
    const made = { by: 'register' as const, ...(by !== undefined && { who: by }) }
    const found = (await apps.register({ ...body, session: { ...session, node } }, made, template.task.pinned)) as Live
    return { ...found, token, spawned: true }
  }

  /** Wakes the new session. Resolves when it is ready, or takes longer than a caller waits; one that fails before leaves nothing behind. */
  async function started(app: App, signal: AbortSignal): Promise<void> {
    const waking = relay.wake(app, AbortSignal.timeout(toMs(app.task.startWithin) + READY_WITHIN_MS))
    const failed = async (error: unknown): Promise<never> => {
      const { code, message, details } = asShadowError(error)
      const exitCode = details.facts?.['exitCode']
      const how = {
        reason: 'crashed' as const,
        kind: 'hard' as const,
        ...(typeof exitCode === 'number' && { exitCode }),
        detail: `${code}: ${withoutLastLines(message)}`.slice(0, 1_000),
      }
      await end(app.name, how, new AbortController().signal).catch(cause =>
        log.warn('session that did not start not removed', { session: app.name, cause }),
      )
      throw error
    }
    const ready = waking.then(() => undefined, failed)
    ready.catch(() => undefined) // whoever follows the session sees it end
    await Promise.race([ready, pause(clock, READY_WITHIN_MS, signal)])
  }

  /** Ends a session; resolves with what it was once it has ended. Calls join one that is under way here. */
  async function end(name: AppName, how: Omit<SessionEnd, 'at'>, signal: AbortSignal): Promise<EndedSession> {
    const underWay = ending.get(name)
    if (underWay !== undefined && how.kind === 'soft') return underWay
    const done = endNow(name, how, signal).finally(() => {
      if (ending.get(name) === done) ending.delete(name)
    })
    ending.set(name, done)
    return done
  }

  async function endNow(name: AppName, how: Omit<SessionEnd, 'at'>, signal: AbortSignal): Promise<EndedSession> {
    const record = await read(name)
    if (record.state === 'removed') return record.session as EndedSession
    const { app } = (await apps.changeSession(name, now => ({
      ...now,
      tokens: [],
      ending: now.ending ?? { at: timestamp(clock), ...how },
    }))) as Live
    // The reason that was written first counts: what is being stopped by one call must not be removed by another before it has stopped.
    const { reason = how.reason } = app.session.ending ?? {}
    const hasStopped = reason === 'crashed' || reason === 'lost' || reason === 'swept'
    if (!hasStopped) await relay.sleep(app, signal, how.kind)
    // What a session with a key has written is there again when the key is.
    const keeps = app.session.key !== undefined
    await apps.remove(name, !keeps, undefined, signal, app.session.ending).catch(error => {
      if (!isFailure(error, 'app-not-found')) throw error // another master was quicker
    })
    log.info('session ended', { session: name, ...app.session.ending })
    const ended = await read(name)
    return ended.state === 'removed' ? (ended.session as EndedSession) : { ...app.session, domains: app.domains }
  }

  async function view({ app }: Live): Promise<View> {
    const instance = await relay.instance(app).catch((): InstanceView | undefined => undefined) // its node is away
    const { session } = app
    return {
      ...shown(app.name, session, app.domains),
      ...stateOf(session, instance, app.createdAt),
      node: instance?.node ?? session.node ?? null,
      end: session.ending ?? null,
    }
  }

  const shown = (name: AppName, session: Session, domains: readonly Hostname[]) => ({
    session: name,
    template: session.template,
    key: session.key === undefined ? null : { ...session.key },
    until: session.until ?? null,
    url: domains[0] === undefined ? '' : urlOf(domains[0]),
    users: [...new Set(session.tokens.flatMap(one => (tokenCounts(one, clock.wall()) ? (one.user ?? []) : [])))],
  })

  const endedView = (name: AppName, session: EndedSession): View => ({
    ...shown(name, session, session.domains),
    state: 'ended',
    since: session.ending?.at ?? '',
    node: session.node ?? null,
    end: session.ending ?? null,
  })

  const connected = (seen: View, token: string | undefined, spawned: boolean): Connected => ({
    ...seen,
    spawned,
    token: token ?? null,
    url: token === undefined ? seen.url : `${seen.url}${token}/`,
    statusUrl: `/v1/sessions/${seen.session}/status`,
  })

  const after = (ms: number): string => new Date(clock.wall() + ms).toISOString()

  function tokenFor(session: Session, { user, auth, token, tokenLifetime }: Connect) {
    if (session.visitors === 'all') return { token: undefined, stored: undefined }
    const lasts = tokenLifetime ?? (TEMPLATE_DEFAULTS.tokenLifetime as Duration)
    return newToken({ user, auth, token, until: token === undefined ? after(toMs(lasts)) : undefined })
  }

  const get = async (name: AppName): Promise<View> => {
    const record = await read(name)
    return record.state === 'live' ? view(record as Live) : endedView(name, record.session as EndedSession)
  }

  return {
    connect,
    end,
    get,
    read,

    /** Ends it for a person; answers what it was. */
    async endAndShow(name: AppName, kind: SessionEndKind, signal: AbortSignal): Promise<View> {
      return endedView(name, await end(name, { reason: 'asked', kind }, signal))
    },

    async list(template: AppName | undefined, after: AppName | undefined, limit: number) {
      const names = index.names(template).filter(name => after === undefined || name > after)
      const page = names.slice(0, limit)
      const found = await mapAtMost(16, page, name => get(name).catch(orNone))
      return {
        items: found.flatMap(one => (one === undefined || one.state === 'ended' ? [] : one)),
        next: names.length > limit ? (page.at(-1) ?? null) : null,
      }
    },

    /** Revokes tokens of a session, or of all sessions of a template. */
    async revoke(name: AppName, user: string | undefined): Promise<number> {
      const names = sessionParts(name) === undefined ? index.names(name) : [name]
      const counted = await mapAtMost(16, names, async session => {
        let revoked = 0
        const gone = apps.changeSession(session, now => {
          const left = now.tokens.filter(one => user !== undefined && one.user !== user)
          revoked = now.tokens.length - left.length
          return revoked === 0 ? undefined : { ...now, tokens: left }
        })
        await (names.length === 1 ? gone : gone.catch(orNone))
        return revoked
      })
      return counted.reduce((sum, one) => sum + one, 0)
    },
  }
}

const orNone = (error: unknown): undefined => {
  if (!isFailure(error, 'session-not-found')) throw error
}

/** The idle time that counts after a caller has asked for one: never a shorter one. */
function longerOf(
  asked: Duration | undefined,
  now: Duration | undefined,
  usual: Duration | 'never',
): Duration | undefined {
  const current = now ?? usual
  return asked === undefined || current === 'never' || toMs(asked) <= toMs(current) ? now : asked
}

const said = (tag: string | undefined): string => (tag === undefined ? 'none' : JSON.stringify(tag))

const stillEnding = (name: AppName): ShadowError =>
  new ShadowError('session-not-found', `the session ${name} has been ending for a minute`, {
    hint: `shadow session end ${name} --hard`,
    retryAfterMs: 5_000,
  })
