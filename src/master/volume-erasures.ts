import { isFailure } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import type { AppName, VolumeId } from '../model/names.ts'
import { noSuchApp } from './app-writes.ts'
import type { Records } from './records.ts'
import type { Relay } from './relay.ts'
import type { Volumes } from './volumes.ts'

type Parts = {
  readonly records: Pick<Records, 'read'>
  readonly volumes: Pick<Volumes, 'beginErasure' | 'endErasure' | 'forget' | 'mustBeFree'>
  readonly relay: Pick<Relay, 'eraseVolume'>
}

export type VolumeErasures = ReturnType<typeof volumeErasures>

/**
 * Deletes the data of volumes. A volume has the name of its app, and so has the volume of the next app of that name. First the record of the
 * volume says that its data is being deleted: no node gets a new lease meanwhile. Then the document of the app is read, and only then nodes are
 * asked. So a call that is late finds the next app there, or the next app finds that its volume has no data yet.
 */
export function volumeErasures({ records, volumes, relay }: Parts) {
  const erase = async (
    id: VolumeId,
    { of, app, mustBeMeant }: { of: string; app: AppName | null; mustBeMeant: () => Promise<void> },
    signal: AbortSignal,
  ): Promise<void> => {
    await volumes.beginErasure(id, of)
    try {
      await mustBeMeant()
      await relay.eraseVolume(id, { app, of }, signal)
    } catch (error) {
      await volumes.endErasure(id, of).catch(() => undefined) // it ends by itself
      throw error
    }
  }

  return {
    /** Deletes the data of an app that is about to be removed; until `forget` or `callOff` it cannot wake. Fails with `app-not-found`. */
    async ofApp(app: App, id: VolumeId, signal: AbortSignal): Promise<void> {
      const mustBeMeant = async (): Promise<void> => {
        const now = await records.read(app.name)
        if (now.state !== 'live' || now.app.createdAt !== app.createdAt) throw noSuchApp(app.name)
      }
      await erase(id, { of: app.createdAt, app: app.name, mustBeMeant }, signal)
    },

    callOff: (app: App, id: VolumeId): Promise<void> => volumes.endErasure(id, app.createdAt),

    /** The app was removed: removes the record of its volume, and what was written before the removal. The volume of a later app is left alone. */
    async forget(app: App, id: VolumeId, signal: AbortSignal): Promise<void> {
      const of = app.createdAt
      try {
        await erase(id, { of, app: app.name, mustBeMeant: () => volumes.mustBeFree(id) }, signal)
        await volumes.forget(id, of)
      } catch (error) {
        if (!isFailure(error, 'volume-in-use')) throw error
      }
    },

    /** Deletes the data and the record of a volume; returns the time of the last app that had it. Fails with `volume-in-use` if an app has it. */
    async free(id: VolumeId, signal: AbortSignal): Promise<string> {
      const mustBeMeant = () => volumes.mustBeFree(id)
      await mustBeMeant()
      const record = await records.read(id as string as AppName)
      const of = record.state === 'live' ? record.app.createdAt : record.state === 'removed' ? record.removedAt : NO_APP
      await erase(id, { of, app: null, mustBeMeant }, signal)
      await volumes.forget(id, of)
      return of
    },
  }
}

/** Before the time of any app. */
const NO_APP = new Date(0).toISOString()
