import type { z } from 'zod'
import type { Definition, RegisterSchema } from '../api/schemas.ts'
import { type Clock, timestamp } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Access } from '../model/access.ts'
import type { App } from '../model/app.ts'
import type { Hostname } from '../model/hostname.ts'
import type { AppName } from '../model/names.ts'
import { accessOf, sameAccess } from './access.ts'
import type { ChangeStream } from './change-stream.ts'
import type { Claims } from './claims.ts'
import { domainsOf, sameDefinition, taskOf } from './definition.ts'
import type { History } from './history.ts'
import type { AppRecord, Records } from './records.ts'
import type { Relay } from './relay.ts'
import { retryOnConflict } from './retry.ts'
import type { Volumes } from './volumes.ts'

/** An app and the version of its document. */
export type Found = { readonly app: App; readonly etag: string }
/** Versions that the caller has read; undefined: any version. */
export type Expected = readonly string[] | undefined

type Parts = {
  records: Records
  claims: Claims
  history: History
  volumes: Volumes
  changes: ChangeStream
  relay: Relay
  clock: Clock
  log: Log
  appsDomain: Hostname
}

export type Apps = ReturnType<typeof appRegistry>

/**
 * Registers, changes and removes apps. One conditional write of the app's own document decides each of these.
 * Claims are written before that write. They lapse if that write never comes.
 * The volume and the dropped claims are written after it. If that fails, the next call that needs them repairs them.
 * So a master may die at any point in between.
 */
export function appRegistry({ records, claims, history, volumes, changes, relay, clock, log, appsDomain }: Parts) {
  const now = (): string => timestamp(clock)
  /** The current time, but always later than `before`: versions are ordered by this time, and another master's wall clock may be ahead. */
  const after = (before: string): string => new Date(Math.max(clock.wall(), Date.parse(before) + 1)).toISOString()

  const find = async (name: AppName): Promise<Found> => {
    const record = await records.read(name)
    if (record.state !== 'live') throw new ShadowError('app-not-found', `no app is called ${name}`)
    return record
  }

  /** Claims the domains and writes the app. Gives the claims up again if the write fails. */
  const commit = async (app: App, claimed: readonly Hostname[], over: AppRecord): Promise<string> => {
    const { volume } = app.task
    const had = over.state === 'live' ? over.app.task.volume : undefined
    if (volume !== undefined) await volumes.mustFit(volume.id, volume, had)
    const taken = await claims.take(app.name, claimed)
    try {
      taken.stillGood()
      return await records.write(app, over)
    } catch (error) {
      await taken.release()
      throw error
    }
  }

  /** Runs an action that follows the deciding write. A later call repeats it if it fails, so its failure does not fail the caller. */
  const afterwards = async (what: string, app: AppName, action: () => Promise<void>): Promise<void> => {
    try {
      await action()
    } catch (cause) {
      log.warn('left for later', { what, app, cause })
    }
  }

  return {
    find,

    async register({ name, access, ...definition }: z.output<typeof RegisterSchema>): Promise<Found> {
      const taken = (): ShadowError =>
        new ShadowError('already-exists', `an app is called ${name} already`, { hint: `shadow update ${name}` })
      const before = await records.read(name)
      if (before.state === 'live') throw taken()
      const at = before.state === 'removed' ? after(before.removedAt) : now()
      const revision = before.state === 'removed' ? before.revision + 1 : 1
      const domains = domainsOf(name, definition, appsDomain)
      const task = taskOf(name, revision, definition, at)
      const pinned = await relay.imageOf(task)
      const app: App = {
        ...{ name, domains, ...accessOf(access), createdAt: at, updatedAt: at },
        task: pinned === undefined ? task : { ...task, pinned },
      }
      try {
        const etag = await commit(app, domains, before)
        await afterwards('volume record', name, () => volumes.adopt(app))
        changes.changed(app)
        log.info('app registered', { app: name, domains, revision })
        return { app, etag }
      } catch (error) {
        throw isFailure(error, 'changed', 'already-exists') ? taken() : error
      }
    },

    /** Makes the next revision from what `next` makes of the current app. An unchanged definition makes no revision. */
    change: (
      name: AppName,
      next: (now: App) => Definition | Promise<Definition>,
      { expected, namesImage, signal }: { expected: Expected; namesImage: boolean; signal: AbortSignal },
    ): Promise<Found> =>
      attempts(expected, async () => {
        const before = await find(name)
        mustMatch(before, expected)
        const definition = await next(before.app)
        const at = after(before.app.updatedAt)
        const domains = domainsOf(name, definition, appsDomain)
        const asked = taskOf(name, before.app.task.revision + 1, definition, at)
        const isSame = sameDefinition({ ...before.app, domains, task: asked }, before.app)
        if (isSame && !namesImage) return before
        const keepsImage = !namesImage && asked.image === before.app.task.image
        const { pinned: pinnedBefore } = before.app.task
        const wanted = keepsImage ? { ...asked, pinned: pinnedBefore } : asked
        const checked = await relay.check(before.app, wanted, signal)
        const pinned = keepsImage ? (pinnedBefore ?? checked?.ran ?? undefined) : (checked?.image ?? undefined)
        // The same tag makes a new revision if it now names another image than the one that ran.
        const ran = pinnedBefore ?? checked?.ran ?? undefined
        if (isSame && (pinned === undefined || ran === undefined || ran.id === pinned.id)) return before
        const task = pinned === undefined ? asked : { ...asked, pinned }
        const app: App = { ...before.app, domains, task, updatedAt: at }
        const gained = domains.filter(domain => !before.app.domains.includes(domain))
        const dropped = await claims.known(
          name,
          before.app.domains.filter(domain => !domains.includes(domain)),
        )
        await history.keep(before.app.task)
        const etag = await commit(app, gained, { state: 'live', ...before })
        await afterwards('dropped domains', name, dropped.release)
        await afterwards('volume record', name, () => ownVolume(before.app, app))
        changes.changed(app)
        log.info('app changed', { app: name, domains, revision: task.revision })
        return { app, etag }
      }),

    /** Replaces the access rules of the app. This makes no revision, and unchanged rules change nothing. */
    setAccess: (name: AppName, access: Access, expected: Expected): Promise<Found> =>
      attempts(expected, async () => {
        const before = await find(name)
        mustMatch(before, expected)
        const app: App = { ...before.app, ...accessOf(access), updatedAt: after(before.app.updatedAt) }
        if (sameAccess(app, before.app)) return before
        const etag = await records.write(app, { state: 'live', ...before })
        changes.changed(app)
        log.info('access changed', { app: name })
        return { app, etag }
      }),

    /** Removes the app. Its volume stays, without an app, unless `withVolume` is set: then the data of the volume is removed first. */
    remove: (name: AppName, withVolume: boolean, expected: Expected, signal: AbortSignal): Promise<void> =>
      attempts(expected, async () => {
        const before = await records.read(name)
        if (before.state !== 'live') {
          // A master may have died during this very removal: remove what it left before we answer.
          if (before.state === 'removed') await afterwards('history', name, () => history.forget(name, before.revision))
          throw new ShadowError('app-not-found', `no app is called ${name}`)
        }
        mustMatch(before, expected)
        const { app } = before
        const volume = app.task.volume?.id
        if (withVolume && volume !== undefined) await relay.eraseVolume(volume, name, signal)
        const domains = await claims.known(name, app.domains)
        await records.remove(app, before, after(app.updatedAt))
        changes.removed(app)
        log.info('app removed', { app: name, withVolume })
        await afterwards('domains', name, domains.release)
        await afterwards('history', name, () => history.forget(name, app.task.revision))
        if (volume !== undefined)
          await afterwards('volume record', name, async () => {
            if (!withVolume) return volumes.disown(volume, name)
            // A request that came in between has woken the app again, with an empty volume.
            await relay.eraseVolume(volume, name, signal)
            await volumes.forget(volume)
          })
      }),
  }

  async function ownVolume(before: App, after: App): Promise<void> {
    if (after.task.volume !== undefined) await volumes.adopt(after)
    else if (before.task.volume !== undefined) await volumes.disown(before.task.volume.id, after.name)
  }
}

/** A caller that names versions gets `changed` once they are out of date; for all other callers we try again. */
const attempts = <T>(expected: Expected, action: () => Promise<T>): Promise<T> =>
  expected === undefined ? retryOnConflict(action) : action()

function mustMatch({ app, etag }: Found, expected: Expected): void {
  if (expected !== undefined && !expected.includes(etag))
    throw new ShadowError('changed', `${app.name} was changed by somebody else since it was read`, {
      hint: 'read it again and repeat the change',
    })
}
