import { type Clock, timestamp } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { App } from '../model/app.ts'
import type { Sha256 } from '../model/digest.ts'
import type { Hostname } from '../model/hostname.ts'
import type { AppName } from '../model/names.ts'
import type { Claims, PortClaims } from './claims.ts'
import type { AppCompanions } from './companions.ts'
import type { Kept } from './kept.ts'
import type { AppRecord, Records } from './records.ts'
import { retryOnConflict } from './retry.ts'
import { mustBeNoRelease, mustNotBeReserved } from './rollout/reserved-hosts.ts'
import { mustSuit } from './scale.ts'
import { mustSuitTcp, takePorts } from './tcp-ports.ts'
import type { Volumes } from './volumes.ts'

/** An app and the version of its document. */
export type Found = { readonly app: App; readonly etag: string }
/** Versions that the caller has read; undefined: any version. */
export type Expected = readonly string[] | undefined

/** Fails if no blob has this digest. */
type HasSource = (digest: Sha256) => Promise<void>
type Parts = {
  records: Records
  claims: Claims
  ports: PortClaims
  companions: AppCompanions
  kept: Kept
  volumes: Volumes
  clock: Clock
  log: Log
  appsDomain: Hostname
  /** Hostnames that no app may have. */
  reserved: ReadonlySet<string>
  hasSource: HasSource
}
export type AppWrites = ReturnType<typeof appWrites>

/** How the document of an app is written. */
export function appWrites({
  records,
  claims,
  ports,
  companions,
  kept,
  volumes,
  clock,
  log,
  appsDomain,
  reserved,
  hasSource,
}: Parts) {
  return {
    now: (): string => timestamp(clock),
    /** The current time, but always later than `before`: versions are ordered by this time, and another master's wall clock may be ahead. */
    after: (before: string): string => new Date(Math.max(clock.wall(), Date.parse(before) + 1)).toISOString(),

    async find(name: AppName): Promise<Found> {
      const record = await records.read(name)
      if (record.state !== 'live') throw noSuchApp(name)
      return record
    },

    /** Claims the domains and ports, and writes the app. Gives the claims up again if the write fails. */
    async commit(app: App, claimed: readonly Hostname[], over: AppRecord): Promise<string> {
      mustBeNoRelease(claimed, appsDomain)
      mustNotBeReserved(claimed, reserved)
      const { volume } = app.task
      const had = over.state === 'live' ? over.app.task.volume : undefined
      if (volume !== undefined) await volumes.mustFit(volume.id, volume, had)
      mustSuit(app)
      mustSuitTcp(app)
      await companions.check(app)
      if (app.task.source !== undefined) await hasSource(app.task.source.digest)
      await kept.note(app)
      const taken = await claims.take(app.name, claimed)
      const listened = await takePorts(ports, app, over).catch(async error => {
        await taken.release()
        throw error
      })
      try {
        await companions.note(app)
        taken.stillGood()
        listened.stillGood()
        return await records.write(app, over)
      } catch (error) {
        await taken.release()
        await listened.release()
        throw error
      }
    },

    /** Runs an action that follows the deciding write. A later call repeats it if it fails, so its failure does not fail the caller. */
    async afterwards(what: string, app: AppName, action: () => Promise<void>): Promise<void> {
      try {
        await action()
      } catch (cause) {
        log.warn('left for later', { what, app, cause })
      }
    },

    /** The apps that it does not use any more know that. */
    forgetUses: (name: AppName, before: App, after: App | undefined): Promise<void> =>
      companions.forget(name, before.task, after?.task),

    /** Records which app has the volume. */
    async ownVolume(before: App, after: App): Promise<void> {
      if (after.task.volume !== undefined) await volumes.adopt(after)
      else if (before.task.volume !== undefined) await volumes.disown(before.task.volume.id, after.name)
    },
  }
}

/** Fails if the app that was read is not the one that is meant. */
type MustMatch = (found: Found) => void

/**
 * A caller that names versions gets `changed` once they are out of date; for all other callers we try again. All tries mean the app that the
 * first one read: if it was removed since, and another app was registered under its name, this fails with `app-not-found`.
 */
export function attempts<T>(expected: Expected, action: (mustMatch: MustMatch) => Promise<T>): Promise<T> {
  let meant: string | undefined
  const once = (): Promise<T> =>
    action(({ app, etag }) => {
      meant ??= app.createdAt
      if (app.createdAt !== meant) throw noSuchApp(app.name)
      if (expected !== undefined && !expected.includes(etag))
        throw new ShadowError('changed', `${app.name} was changed by somebody else since it was read`, {
          hint: 'read it again and repeat the change',
        })
    })
  return expected === undefined ? retryOnConflict(once) : once()
}

export const noSuchApp = (name: AppName): ShadowError => new ShadowError('app-not-found', `no app is called ${name}`)
