import { isDeepStrictEqual } from 'node:util'
import type { z } from 'zod'
import type { RegisterSchema } from '../api/schemas.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Access } from '../model/access.ts'
import type { App } from '../model/app.ts'
import { type BudgetState, isSameBudget } from '../model/budget.ts'
import type { Hostname } from '../model/hostname.ts'
import type { AppName } from '../model/names.ts'
import type { OwnPages } from '../model/own-pages.ts'
import type { Pause } from '../model/pause.ts'
import type { Made } from '../model/release.ts'
import type { Scale } from '../model/scale.ts'
import { type Session, sessionNotFound, type Template } from '../model/session.ts'
import type { PinnedImage } from '../model/task.ts'
import type { TcpPort } from '../model/tcp.ts'
import type { WakeRules } from '../model/wake-rules.ts'
import { accessOf, sameAccess } from './access.ts'
import { type AppWrites, attempts, type Expected, type Found, noSuchApp } from './app-writes.ts'
import type { ChangeStream } from './change-stream.ts'
import type { Claims, PortClaims } from './claims.ts'
import type { AppCompanions } from './companions.ts'
import { domainsOf, taskOf } from './definition.ts'
import type { History } from './history.ts'
import type { ImagePins } from './images/pins.ts'
import type { Kept } from './kept.ts'
import { pagesOf, samePages } from './own-pages.ts'
import type { AppRecord, Records } from './records.ts'
import type { Relay } from './relay.ts'
import { changedSecrets, mustNotClash } from './releases/secret-changes.ts'
import type { SecretDocuments } from './releases/secret-documents.ts'
import { mustSuit, sameScale, scaleOf } from './scale.ts'
import { mustBeName, mustHaveVolume } from './sessions/names.ts'
import { droppedPorts, mustSuitTcp, sameTcp, tcpOf } from './tcp-ports.ts'
import type { VolumeErasures } from './volume-erasures.ts'
import type { Volumes } from './volumes.ts'
import { sameWakeRules, wakeRulesOf } from './wake-rules.ts'

type Parts = {
  writes: AppWrites
  records: Records
  claims: Claims
  ports: PortClaims
  companions: AppCompanions
  history: History
  secrets: SecretDocuments
  kept: Kept
  volumes: Volumes
  changes: ChangeStream
  relay: Relay
  erasures: VolumeErasures
  images: ImagePins
  log: Log
  appsDomain: Hostname
}

type Removal = {
  readonly withVolume: boolean
  readonly expected: Expected
  /** Set: it must be the one that was registered then. */
  readonly createdAt?: string | undefined
  /** How it ends as a session. */
  readonly ending?: Session['ending']
}

export type Apps = ReturnType<typeof appRegistry>

/**
 * Registers and removes apps, and changes what is no part of a release. One conditional write of the app's own document decides each of these.
 * Claims are written before that write. They lapse if that write never comes.
 * The volume and the dropped claims are written after it. If that fails, the next call that needs them repairs them.
 * So a master may die at any point in between.
 */
export function appRegistry({
  writes,
  records,
  claims,
  ports,
  companions,
  history,
  secrets,
  kept,
  volumes,
  changes,
  relay,
  erasures,
  images,
  log,
  appsDomain,
}: Parts) {
  const { now, after, find, commit, afterwards } = writes

  /** Changes a part of the app beside its definition, by one conditional write; undefined: nothing is to be changed. This makes no revision. */
  const change = (
    { name, expected, says, more }: { name: AppName; expected: Expected; says: string; more?: object | undefined },
    next: (before: App) => Partial<App> | undefined | Promise<Partial<App> | undefined>,
  ): Promise<Found> =>
    attempts(expected, async mustMatch => {
      const before = await find(name)
      mustMatch(before)
      const part = await next(before.app)
      if (part === undefined) return before
      const app: App = { ...before.app, ...part, updatedAt: after(before.app.updatedAt) }
      const etag = await records.write(app, { state: 'live', ...before })
      changes.changed(app)
      log.info(says, { app: name, ...more })
      return { app, etag }
    })

  const remove = (
    name: AppName,
    { withVolume, expected, createdAt, ending }: Removal,
    signal: AbortSignal,
  ): Promise<string> =>
    attempts(expected, async mustMatch => {
      const before = await records.read(name)
      if (before.state !== 'live') {
        // A master may have died during this very removal: remove what it left before we answer.
        if (before.state === 'removed') await afterwards('history', name, () => forget(name, before))
        throw noSuchApp(name)
      }
      mustMatch(before)
      const { app } = before
      if (createdAt !== undefined && app.createdAt !== createdAt) throw noSuchApp(name)
      await companions.mustBeFree(app)
      const volume = app.task.volume?.id
      if (withVolume && volume !== undefined) await erasures.ofApp(app, volume, signal)
      const domains = await claims.known(name, app.domains)
      const listened = await droppedPorts(ports, app, {})
      const removed = { revision: app.task.revision, secretsVersion: await secrets.latest(name) }
      const ended = app.session && ending && { ...app.session, tokens: [], ending, domains: app.domains }
      const removedAt = after(app.updatedAt)
      await records.remove(name, { ...removed, removedAt, session: ended }, before).catch(async error => {
        if (withVolume && volume !== undefined) await afterwards('erasure', name, () => erasures.callOff(app, volume))
        throw error
      })
      changes.removed(app)
      log.info('app removed', { app: name, withVolume })
      await afterwards('domains', name, domains.release)
      await afterwards('ports', name, listened.release)
      await afterwards('uses', name, () => companions.forget(name, app.task, undefined))
      await afterwards('history', name, () => forget(name, removed))
      if (volume !== undefined)
        await afterwards('volume record', name, async () => {
          // A request that came in between has woken the app again, with an empty volume.
          await (withVolume ? erasures.forget(app, volume, signal) : volumes.disown(volume, name))
          // An app that was registered under the name since has the volume of this name.
          const later = await records.read(name)
          if (later.state === 'live') await volumes.adopt(later.app)
        })
      return removedAt
    })

  return {
    find,

    /** `image`: what its image stands for, where that is known. `over`: what the caller has read under its name, and decided by. */
    async register(
      {
        name,
        access,
        scale,
        wake,
        pages,
        tcp,
        template,
        session,
        secrets: given,
        ...definition
      }: z.output<typeof RegisterSchema> & { readonly session?: Session },
      made: Made,
      image?: PinnedImage,
      over?: AppRecord,
    ): Promise<Found> {
      mustBeName(name, { template, session })
      mustHaveVolume(name, template?.volumeFrom, definition.volume)
      const taken = (): ShadowError =>
        new ShadowError('already-exists', `an app is called ${name} already`, { hint: `shadow update ${name}` })
      const before = over ?? (await records.read(name))
      if (before.state === 'live') throw taken()
      const at = before.state === 'removed' ? after(before.removedAt) : now()
      const revision = before.state === 'removed' ? before.revision + 1 : 1
      const domains = domainsOf(name, definition, appsDomain)
      const task = taskOf(name, revision, definition, at)
      const values = changedSecrets({}, given ?? {}, revision)
      mustNotClash(name, task.env, values)
      const pinned = image ?? (await images.pinOf(task)) ?? (await relay.imageOf(task))
      const above = before.state === 'removed' ? (before.secretsVersion ?? 0) : 0
      const write = async (secretsVersion: number | undefined): Promise<Found> => {
        const app: App = {
          ...{
            name,
            domains,
            ...accessOf(access),
            ...scaleOf(scale),
            ...wakeRulesOf(wake),
            ...pagesOf(pages),
            ...tcpOf(tcp),
            template,
            session,
          },
          ...{ createdAt: at, updatedAt: at },
          task: { ...task, pinned, secretsVersion, made },
        }
        // The hostname of a session follows from that of its template.
        return { app, etag: await commit(app, session === undefined ? domains : [], before) }
      }
      try {
        // A later version than those of a removed app of this name, even without secrets: so no version is ever used twice.
        const hasSecrets = above > 0 || Object.keys(values).length > 0
        const found = await (hasSecrets ? secrets.storing(name, values, write, above) : write(undefined))
        await afterwards('volume record', name, () => volumes.adopt(found.app))
        changes.changed(found.app)
        log.info('app registered', { app: name, domains, revision })
        return found
      } catch (error) {
        throw isFailure(error, 'changed', 'already-exists') ? taken() : error
      }
    },

    /** Replaces the access rules of the app. Unchanged rules change nothing. */
    setAccess: (name: AppName, access: Access, expected: Expected): Promise<Found> =>
      change({ name, expected, says: 'access changed' }, before => {
        const part = accessOf(access)
        return sameAccess({ ...before, ...part }, before) ? undefined : part
      }),

    /** Replaces the rules by which the app is scaled. Unchanged rules change nothing. */
    setScale: (name: AppName, scale: Scale, expected: Expected): Promise<Found> =>
      change({ name, expected, says: 'scale changed' }, async before => {
        const part = scaleOf(scale)
        const app: App = { ...before, ...part }
        mustSuit(app)
        mustSuitTcp(app)
        await companions.check(app)
        if (sameScale(app, before)) return undefined
        await kept.note(app)
        return part
      }),

    /** Replaces the rules by which requests do not wake the app. Unchanged rules change nothing. */
    setWakeRules: (name: AppName, wake: WakeRules, expected: Expected): Promise<Found> =>
      change({ name, expected, says: 'wake rules changed' }, before => {
        const part = wakeRulesOf(wake)
        return sameWakeRules({ ...before, ...part }, before) ? undefined : part
      }),

    /** Replaces the pages that visitors see in place of the front's. Unchanged pages change nothing. */
    setPages: (name: AppName, pages: OwnPages, expected: Expected): Promise<Found> =>
      change({ name, expected, says: 'pages changed' }, before => {
        const part = pagesOf(pages)
        return samePages({ ...before, ...part }, before) ? undefined : part
      }),

    /** Sets or ends the pause of the app. An app that is paused for that reason already keeps its pause. */
    setPause: (name: AppName, pause: Omit<Pause, 'at'> | undefined, expected: Expected): Promise<Found> =>
      change(
        { name, expected, says: pause === undefined ? 'app resumed' : 'app paused', more: pause },
        ({ paused }) => {
          if (pause === undefined ? paused === undefined : paused !== undefined && paused.why === pause.why)
            return undefined
          return { paused: pause && { at: now(), ...pause } }
        },
      ),

    /** Makes the app a template, or changes its rules. */
    setTemplate: (name: AppName, template: Template, expected: Expected): Promise<Found> =>
      change({ name, expected, says: 'template changed' }, async before => {
        mustBeName(name, { template, session: before.session })
        if (isDeepStrictEqual(before.template, template)) return undefined
        mustSuitTcp({ ...before, template })
        mustHaveVolume(name, template.volumeFrom, before.task.volume)
        await kept.note({ name, template })
        return { template }
      }),

    /** Changes what the app is as a session; undefined: nothing is to be changed. Fails with `session-not-found`. */
    changeSession: (
      name: AppName,
      next: (now: Session, app: App & { readonly session: Session }) => Session | undefined,
    ): Promise<Found> =>
      attempts(undefined, async () => {
        const record = await records.read(name)
        if (record.state !== 'live' || record.app.session === undefined) throw sessionNotFound(name)
        const session = next(record.app.session, record.app as App & { readonly session: Session })
        if (session === undefined) return record
        const app: App = { ...record.app, session, updatedAt: after(record.app.updatedAt) }
        const etag = await records.write(app, record)
        changes.changed(app)
        return { app, etag }
      }),

    /** Says how the app stands with its budget. This makes no revision. */
    async setBudget(name: AppName, budget: BudgetState | undefined, wall: number): Promise<void> {
      await attempts(undefined, async mustMatch => {
        const before = await find(name)
        mustMatch(before)
        if (isSameBudget(before.app.budget, budget, wall)) return
        const app: App = { ...before.app, budget, updatedAt: after(before.app.updatedAt) }
        await records.write(app, { state: 'live', ...before })
        changes.changed(app)
        if (budget === undefined) log.info('budget not spent any more', { app: name })
        else log.warn(budget.state === 'spent' ? 'budget spent' : 'budget nearly spent', { app: name, ...budget })
      })
    },

    /** Replaces the raw TCP ports of the app. This makes no revision, and unchanged ports change nothing. Fails with `port-taken`. */
    setTcp: (name: AppName, tcp: readonly TcpPort[], expected: Expected): Promise<Found> =>
      attempts(expected, async mustMatch => {
        const before = await find(name)
        mustMatch(before)
        const app: App = { ...before.app, ...tcpOf(tcp), updatedAt: after(before.app.updatedAt) }
        if (sameTcp(app, before.app)) return before
        const dropped = await droppedPorts(ports, before.app, app)
        const etag = await commit(app, [], { state: 'live', ...before })
        changes.changed(app)
        log.info('tcp ports changed', { app: name, ports: tcp.map(({ listen }) => listen) })
        await afterwards('dropped ports', name, dropped.release)
        return { app, etag }
      }),

    /** Removes the app, and returns when that was. Its volume stays, without an app, unless `withVolume` is set: then its data is removed first. */
    remove: (name: AppName, withVolume: boolean, expected: Expected, signal: AbortSignal): Promise<string> =>
      remove(name, { withVolume, expected }, signal),

    /**
     * Removes a session that is being ended, and no later one of its name. What it has written with a key is there again when the key is. Fails
     * with `app-not-found` if it is gone.
     */
    removeSession: (session: App & { readonly session: Session }, signal: AbortSignal): Promise<string> =>
      remove(
        session.name,
        {
          withVolume: session.session.key === undefined,
          expected: undefined,
          createdAt: session.createdAt,
          ending: session.session.ending,
        },
        signal,
      ),

    /** Removes an app that was just made, with its volume, and no later one of its name. */
    takeBack: async ({ name, createdAt }: App): Promise<void> => {
      await remove(name, { withVolume: true, expected: undefined, createdAt }, new AbortController().signal)
    },
  }

  /** Removes the releases and the secrets of a removed app. */
  async function forget(name: AppName, upTo: { revision: number; secretsVersion?: number | undefined }): Promise<void> {
    await history.forget(name, upTo.revision)
    await secrets.forget(name, upTo.secretsVersion ?? 0)
  }
}
