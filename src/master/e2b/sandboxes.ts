import { ConnectSchema } from '../../api/connect-schema.ts'
import type { Clock } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { type AppName, isAppName } from '../../model/names.ts'
import { type Duration, toMs } from '../../model/quantities.ts'
import { isInScope } from '../../model/scope.ts'
import type { Session } from '../../model/session.ts'
import type { Apps } from '../apps.ts'
import type { Caller } from '../known-callers.ts'
import { mustHave, scopeOf } from '../owners/permission.ts'
import type { Records } from '../records.ts'
import type { SessionIndex } from '../sessions/session-index.ts'
import type { SessionPauses } from '../sessions/session-pauses.ts'
import type { Sessions } from '../sessions/sessions.ts'
import { newToken, withToken } from '../sessions/tokens.ts'
import { type Access, newSeed } from './access.ts'
import { fault } from './faults.ts'
import { isSandbox, opened, type SandboxApp } from './sandbox-view.ts'

type Parts = {
  readonly apps: Pick<Apps, 'find' | 'changeSession'>
  readonly records: Pick<Records, 'read'>
  readonly sessions: Pick<Sessions, 'connect' | 'end'>
  readonly pauses: SessionPauses
  readonly index: Pick<SessionIndex, 'sandbox' | 'sandboxes'>
  readonly access: Access
  readonly front: () => string | undefined
  readonly clock: Clock
}
type New = {
  readonly template: string
  readonly env: Readonly<Record<string, string>>
  readonly metadata: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly atTimeout: 'end' | 'pause'
  /** Of a sandbox whose volume is there already. */
  readonly name?: AppName
}

/** Not as long as nobody uses it, but as long as its time-out says, a sandbox lives. */
const NEVER_IDLE = '36500d'

export type Sandboxes = ReturnType<typeof sandboxesOf>

/** Sandboxes as E2B's clients ask for them: sessions of templates whose time is set anew, which are paused, and which a token of their own opens. */
export function sandboxesOf({ apps, records, sessions, pauses, index, access, front, clock }: Parts) {
  const after = (ms: number): string => new Date(clock.wall() + ms).toISOString()
  const tokensOf = (seed: string) => ({ access: access.tokenOf(seed), traffic: access.trafficTokenOf(seed) })
  const notFound = (id: string): ShadowError => fault('not_found', `no sandbox has the id ${id.slice(0, 100)}`)

  const templateOf = async (text: string, caller: Caller) => {
    const scope = scopeOf(caller)
    if (scope !== undefined) mustHave(scope, text)
    const made = `shadow template create ${text} --image IMAGE --ready started`
    const missing = (): ShadowError =>
      new ShadowError('not-found', `there is no template ${text.slice(0, 100)}`, { hint: made })
    if (!isAppName(text)) throw missing()
    const { app } = await apps
      .find(text)
      .catch(error => Promise.reject(isFailure(error, 'app-not-found') ? missing() : error))
    if (app.template === undefined) throw fault('invalid_argument', `${text} is an app and no template`, made)
    return app
  }

  const mustBeWithin = (timeoutMs: number, lifetime: Duration | undefined): void => {
    if (lifetime === undefined || timeoutMs <= toMs(lifetime)) return
    throw fault('invalid_argument', `the time-out is longer than the template allows: ${lifetime}`)
  }

  /** The sandbox, if it is the caller's. */
  async function own(id: string, caller: Caller): Promise<SandboxApp> {
    const known = index.sandbox(id)
    const scope = scopeOf(caller)
    if (known === undefined || (scope !== undefined && !isInScope(scope, known.name))) throw notFound(id)
    const record = await records.read(known.name)
    if (record.state !== 'live' || !isSandbox(record.app) || record.app.session.ending !== undefined) throw notFound(id)
    return record.app
  }

  const changed = async (name: AppName, next: (now: Session) => Session | undefined): Promise<SandboxApp> =>
    (await apps.changeSession(name, next)).app as SandboxApp

  return {
    own,

    /** The sandbox as this master knows it, for a call that shows the sandbox's own token; undefined: it is not there. */
    known(id: string): SandboxApp | undefined {
      const app = index.sandbox(id)
      return app !== undefined && isSandbox(app) && app.session.ending === undefined ? app : undefined
    },

    /** Those of the caller, the newest first. */
    list(caller: Caller): readonly SandboxApp[] {
      const scope = scopeOf(caller)
      return index.sandboxes
        .filter(isSandbox)
        .filter(({ name, session }) => session.ending === undefined && (scope === undefined || isInScope(scope, name)))
        .toSorted((a, b) =>
          a.createdAt === b.createdAt ? (a.name < b.name ? -1 : 1) : a.createdAt < b.createdAt ? 1 : -1,
        )
    },

    /** The sandbox that has signed the URL of a file. */
    signer: (is: (app: SandboxApp) => boolean): SandboxApp | undefined =>
      index.sandboxes.filter(isSandbox).find(app => app.session.ending === undefined && is(app)),

    async create(
      { template: text, env, metadata, timeoutMs, atTimeout, name }: New,
      caller: Caller,
      signal: AbortSignal,
    ) {
      const template = await templateOf(text, caller)
      mustBeWithin(timeoutMs, template.template?.lifetime)
      if (atTimeout === 'pause') mustKeepFiles(template.name, template.task.volume !== undefined)
      const seed = newSeed()
      const tokens = tokensOf(seed)
      const asked = ConnectSchema.parse({
        template: template.name,
        spawn: {
          env: { ...env, E2B_SANDBOX: 'true', E2B_TEMPLATE_ID: text },
          lifetime: `${timeoutMs}ms`,
          idle: NEVER_IDLE,
        },
        token: tokens.traffic,
      })
      const as = { whenIdle: 'sleep' as const, sandbox: { metadata, atTimeout, seed } }
      const { session } = await sessions.connect(
        { ...asked, as, ...(name !== undefined && { name }) },
        caller.name,
        signal,
      )
      const { app } = await apps.find(session as AppName)
      return opened(app as SandboxApp, front(), tokens)
    },

    /** Gets the sandbox for somebody who works with it: one that is paused is resumed; its time becomes no shorter. */
    async connect(id: string, timeoutMs: number, caller: Caller, signal: AbortSignal) {
      const { name, paused, session } = await own(id, caller)
      mustBeWithin(timeoutMs, (await apps.find(session.template).catch(() => undefined))?.app.template?.lifetime)
      const until = after(timeoutMs)
      const app = await changed(name, now => {
        const longer = paused === undefined && now.until !== undefined && now.until > until ? now.until : until
        const next = { ...now, until: longer }
        const { sandbox } = now
        if (sandbox === undefined || sandbox.seed !== undefined) return next
        const seed = newSeed()
        const { stored } = newToken({ token: access.trafficTokenOf(seed) })
        const withSeed = { ...next, sandbox: { ...sandbox, seed } }
        return now.visitors === 'token' ? withToken(withSeed, stored, clock.wall()) : withSeed
      })
      if (paused !== undefined) await pauses.resume(name, signal)
      return { resumed: paused !== undefined, sandbox: opened(app, front(), tokensOf(app.session.sandbox.seed ?? '')) }
    },

    /** Sets when its time is over; `isLeast`: unless it has more. */
    async setTimeout(id: string, timeoutMs: number, caller: Caller, isLeast = false): Promise<void> {
      const { name, paused, session } = await own(id, caller)
      if (paused !== undefined) throw fault('already_exists', `the sandbox ${id} is paused: connect to it first`)
      mustBeWithin(timeoutMs, (await apps.find(session.template).catch(() => undefined))?.app.template?.lifetime)
      const until = after(timeoutMs)
      await changed(name, now =>
        isLeast && now.until !== undefined && now.until > until ? undefined : { ...now, until },
      )
    },

    async pause(id: string, caller: Caller, signal: AbortSignal): Promise<void> {
      const { name, paused, task, session } = await own(id, caller)
      if (paused !== undefined) throw fault('already_exists', `the sandbox ${id} is paused already`)
      mustKeepFiles(session.template, task.volume !== undefined)
      await pauses.pause(name, caller.name, signal)
    },

    async kill(id: string, caller: Caller, signal: AbortSignal): Promise<void> {
      const { name } = await own(id, caller)
      await sessions.end(name, { reason: 'asked', kind: 'hard' }, signal)
    },
  }
}

function mustKeepFiles(template: AppName, hasVolume: boolean): void {
  if (hasVolume) return
  throw fault(
    'invalid_argument',
    `the template ${template} has no volume: a sandbox of it would lose its files when it is paused`,
    `shadow template create NAME --image IMAGE --ready started --volume 1GiB:/home/user`,
  )
}
