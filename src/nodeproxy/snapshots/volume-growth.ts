import { isRunning } from '../../model/instance.ts'
import type { AppName } from '../../model/names.ts'
import type { Apps } from '../apps.ts'
import type { Filesystem } from '../filesystem/filesystem.ts'
import type { Instance } from '../instance.ts'
import type { AppVolume } from './moments.ts'

type Parts = {
  readonly apps: Pick<Apps, 'resolve' | 'refresh'>
  readonly instanceOf: (app: AppName, permit?: string) => Promise<Instance>
  readonly filesystem: Pick<Filesystem, 'use'>
}

/** Reads the definition of the app anew, and tells how large its volume is when that is applied; for an app that is not awake the size is left out. */
export const volumeGrowth =
  ({ apps, instanceOf, filesystem }: Parts) =>
  async ({ app, volume, permit }: AppVolume) => {
    await apps.resolve(app, permit)
    await apps.refresh(app)
    const instance = await instanceOf(app, permit)
    await instance.settled()
    const use = isRunning(instance.phase) ? await filesystem.use(volume) : undefined
    return { phase: instance.phase, ...(use !== undefined && { sizeBytes: use.sizeBytes }) }
  }
