import { setTimeout as wait } from 'node:timers/promises'
import { isFailure } from '../../lib/errors.ts'
import type { VolumeId } from '../../model/names.ts'
import type { TaskVolume } from '../../model/task.ts'
import type { sourceParts } from '../../model/volume-source.ts'
import type { Forks } from '../snapshots/forks.ts'
import type { Volumes } from '../volumes.ts'

type Parts = {
  readonly forks: Pick<Forks, 'copy' | 'discard'>
  readonly volumes: Pick<Volumes, 'get' | 'movingOf'>
}
type Source = ReturnType<typeof sourceParts>

/** For so long a copy that another call makes is waited for. A master that died has made none by then. */
const MADE_WITHIN_TRIES = 300
const LOOKED_AT_EVERY_MS = 100

export type VolumeCopies = ReturnType<typeof volumeCopies>

/** Makes the first volume of a session as a copy of another one. It is made before the session, so that nobody can wake that with an empty one. */
export function volumeCopies({ forks, volumes }: Parts) {
  const isThere = async (id: VolumeId): Promise<boolean> => {
    try {
      await volumes.get(id)
      return true
    } catch (error) {
      if (isFailure(error, 'not-found')) return false
      throw error
    }
  }

  return {
    /** Resolves with false if there is a volume of this name: that of a key, from before. Fails with `changed` if another call has begun the same. */
    async make(volume: TaskVolume, from: Source, by: string, signal: AbortSignal): Promise<boolean> {
      for (let tries = 0; tries < MADE_WITHIN_TRIES; tries++) {
        const moving = await volumes.movingOf(volume.id)
        if (await isThere(volume.id)) return false
        if (moving === undefined) break
        await wait(LOOKED_AT_EVERY_MS, undefined, { signal })
      }
      return forks.copy(volume, { ...from, by }, signal)
    },

    discard: (id: VolumeId): Promise<void> => forks.discard(id),
  }
}
