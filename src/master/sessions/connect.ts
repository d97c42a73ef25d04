import { setTimeout as wait } from 'node:timers/promises'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import { type Duration, toMs } from '../../model/quantities.ts'
import { isOver, type Session, type SessionKey, sessionNotFound, TEMPLATE_DEFAULTS } from '../../model/session.ts'
import type { Apps } from '../apps.ts'
import type { AppRecord, Records } from '../records.ts'
import type { Relay } from '../relay.ts'
import { withVerifiedUser } from './connect-auth.ts'
import type { SessionEnds } from './ends.ts'
import { nameFor } from './names.ts'
import type { SessionIndex } from './session-index.ts'
import { sessionOf } from './session-of.ts'
import type { SessionSpawns } from './spawn.ts'
import { newToken, withToken } from './tokens.ts'
import type { Connect, Connected, Got, Live, SessionViews, View } from './views.ts'
import type { WarmPool } from './warm-pool.ts'

type Parts = {
  readonly records: Pick<Records, 'read' | 'adopt'>
  readonly apps: Pick<Apps, 'find' | 'changeSession'>
  readonly relay: Pick<Relay, 'keep'>
  readonly index: Pick<SessionIndex, 'count'>
  readonly pool: WarmPool
  readonly spawns: SessionSpawns
  readonly ends: SessionEnds
  readonly views: SessionViews
  readonly clock: Clock
}
type Call = {
  readonly template: App
  /** By the key. */
  readonly name: AppName
  readonly asked: Connect
  readonly by: string | undefined
  readonly signal: AbortSignal
}
/** A session that has still to end before its key can have another one. */
type Over = { readonly over: AppName }
type NotLive = Exclude<AppRecord, { state: 'live' }>

/** For so long a connect waits for the end of the session that had the key. */
const END_WITHIN_MS = 60_000
/** The idle time of a session begins anew at each connect; a node keeps nothing awake for less than this. */
const KEPT_AWAKE_FOR_MS = 1_000
const CONFLICTS = 50
const ENDING_LOOKED_AT_EVERY_MS = 50

/** Answers connects: lets a visitor into the session with the key, and makes the session if it is not there. */
export function sessionConnects({ records, apps, relay, index, pool, spawns, ends, views, clock }: Parts) {
  const turns = new KeyedMutex<AppName>()

  const findTemplate = async (name: AppName): Promise<App> => {
    const { app } = await apps.find(name)
    if (app.template !== undefined) return app
    throw new ShadowError('bad-input', `${name} is no template`, { hint: `shadow template create ${name}` })
  }

  async function connect(given: Connect, by: string | undefined, signal: AbortSignal): Promise<Connected> {
    // The schema asks for a template where there is no image.
    const template = given.of ?? (await findTemplate(given.template as AppName))
    const asked = await withVerifiedUser(template, given, signal)
    const until = clock.now() + END_WITHIN_MS
    const name = asked.name ?? nameFor(template.name, asked.key)
    for (let conflicts = 0; ; ) {
      signal.throwIfAborted()
      try {
        // Calls for one key take turns here: each of them writes the same document.
        const got = await turns.take(name, () => find({ template, name, asked, by, signal }))
        if (!('over' in got)) {
          if (got.by === 'spawn') await spawns.started(got.app, signal)
          const seen = got.by === 'spawn' ? await views.live(got) : await settled(got, until, signal)
          if (seen === undefined) continue
          // To connect is to use it: else it could end between this answer and the visit. One that has ended just now fails here.
          if (got.by === 'join' && seen.state === 'ready' && got.app.session.whenIdle === 'end')
            await relay.keep(got.app, { forMs: KEPT_AWAKE_FOR_MS, why: 'somebody connects' }, signal)
          return views.connected(seen, got)
        }
        if (clock.now() > until) throw stillEnding(got.over)
        await ends.end(got.over, { reason: 'lifetime', kind: 'soft' }, signal, ({ session }) =>
          isOver(session, clock.wall()),
        )
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
      const seen = await views.live(now)
      if (seen.state !== 'ending') return seen
      if (clock.now() > until) throw stillEnding(got.app.name)
      await wait(ENDING_LOOKED_AT_EVERY_MS, undefined, { signal })
      const record = await records.read(got.app.name)
      if (record.state !== 'live' || record.app.createdAt !== got.app.createdAt) return undefined
      now = record as Live
      if (isOver(now.app.session, clock.wall())) return undefined
    }
  }

  /** The session of the caller's key with a token for the caller, made if it is not there. */
  async function find(call: Call): Promise<Got | Over> {
    const { name, asked } = call
    const record = await records.read(name)
    if (record.state !== 'live') return (await findAdopted(call, record)) ?? create(call, record)
    if (record.app.session === undefined) throw new ShadowError('bad-input', `${name} is an app that is no session`)
    return joinOrOver(record as Live, asked)
  }

  /** The session from the pool that has the key; undefined: there is none. */
  async function findAdopted(call: Call, { state, ...removed }: NotLive): Promise<Got | Over | undefined> {
    if (state === 'none' || !('adopted' in removed) || removed.adopted === undefined) return undefined
    const record = await records.read(removed.adopted)
    if (record.state !== 'live' || record.app.session === undefined) return undefined
    const found = record as Live
    const { warm, key } = found.app.session
    if (warm === undefined) return isSameKey(key, call.asked.key) ? joinOrOver(found, call.asked) : undefined
    if (isOver(found.app.session, clock.wall())) return undefined
    // Another call has claimed it, and has not taken it yet, or never will. Whoever takes it takes it for this key.
    const { become, token } = visitorOf(call)
    return { ...(await pool.takeClaimed(found, become, call.signal)), token, by: 'pool' }
  }

  const joinOrOver = async (found: Live, asked: Connect): Promise<Got | Over> =>
    isOver(found.app.session, clock.wall()) ? { over: found.app.name } : join(found, asked)

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
    return { ...(found as Live), token, by: 'join' }
  }

  /** Takes a session from the pool, or makes one. */
  async function create(call: Call, over: NotLive): Promise<Got> {
    const { template, name, asked, by, signal } = call
    if (asked.spawn === null) throw sessionNotFound(name)
    const { most } = template.template ?? TEMPLATE_DEFAULTS
    const live = index.count(template.name)
    if (live >= most) throw full(template.name, live, most)
    const { become, token } = visitorOf(call)
    if (takesFromPool(template, asked)) {
      const claim = async (session: AppName): Promise<void> => {
        if (asked.key !== undefined) await records.adopt(name, session, timestamp(clock), over)
      }
      const found = await pool.takeAny(template, become, claim, signal)
      if (found !== undefined) return { ...found, token, by: 'pool' }
    }
    const { env, limits } = asked.spawn
    const found = await spawns.make(template, { name, session: become(), env, limits, by, over }, signal)
    return { ...found, token, by: 'spawn' }
  }

  /** What a session becomes for the caller, and the token to it. */
  function visitorOf({ template, name, asked }: Call) {
    const { key, spawn } = asked
    if (spawn === null) throw sessionNotFound(name)
    const { token, stored } = tokenFor(template.template ?? TEMPLATE_DEFAULTS, asked)
    const become = (): Session => ({
      ...sessionOf(template, { key, spawn }, clock.wall()),
      ...(stored !== undefined && { tokens: [stored] }),
      ...asked.as,
    })
    return { become, token }
  }

  function tokenFor({ visitors }: Pick<Session, 'visitors'>, { user, auth, token, tokenLifetime }: Connect) {
    if (visitors === 'all') return { token: undefined, stored: undefined }
    const lasts = tokenLifetime ?? (TEMPLATE_DEFAULTS.tokenLifetime as Duration)
    const until = token === undefined ? new Date(clock.wall() + toMs(lasts)).toISOString() : undefined
    return newToken({ user, auth, token, until })
  }

  return connect
}

/** A process that runs already has the variables of its template alone. The volume of a key is there only under its own name. */
const takesFromPool = ({ task }: App, { key, spawn }: Connect): boolean =>
  Object.keys(spawn?.env ?? {}).length === 0 &&
  spawn?.limits === undefined &&
  spawn?.pool === undefined &&
  (key === undefined || task.volume === undefined)

const isSameKey = (one: SessionKey | undefined, other: SessionKey | undefined): boolean =>
  one?.name === other?.name && one?.namespace === other?.namespace

const full = (template: AppName, live: number, most: number): ShadowError =>
  new ShadowError('sessions-full', `${template} has ${live} sessions, and may have ${most}`, {
    hint: `shadow session ls --template ${template}`,
    retryAfterMs: 5_000,
  })

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
