import { Unwind } from '../lib/unwind.ts'
import type { SleepStep } from '../model/instance.ts'
import type { AppName, VolumeId } from '../model/names.ts'
import type { Filesystem } from './filesystem/filesystem.ts'
import type { Container, Runtime } from './runtime/runtime.ts'
import type { OnStep } from './state.ts'
import type { BlockDriver } from './volumes/block-driver.ts'

export type UndoParts = {
  readonly runtime: Runtime
  readonly volumes: BlockDriver
  readonly filesystem: Filesystem
  readonly onStep: OnStep
}

type What = {
  readonly app: AppName
  readonly volume: VolumeId | undefined
  readonly graceMs: number
  /** The containers to stop, asked for when it comes to that. */
  readonly containers: () => Promise<readonly Container[]>
}

/**
 * All there can be to undo of an app, whole from the start: a wake runs in two lanes, so the order of its deeds is not the
 * order in which they must be undone. Container first, then the mount, then the device; what was never done is "already so".
 */
export function undoOf({ app, volume, graceMs, containers }: What, parts: UndoParts): Unwind {
  const undo = new Unwind()
  const push = (step: SleepStep, deed: () => Promise<void>): void =>
    undo.push(step, async () => {
      parts.onStep(app, step, 'before')
      await deed()
      parts.onStep(app, step, 'after')
    })
  if (volume !== undefined) {
    push('detach', () => parts.volumes.detach(volume))
    push('unmount', () => parts.filesystem.unmount(volume))
  }
  push('stop', async () => {
    for (const container of await containers()) {
      await parts.runtime.stop(container, graceMs)
      await parts.runtime.remove(container)
    }
  })
  return undo
}

/** The app's containers as the runtime knows them: for a creation that was cut short, whose container nobody was told of. */
export const foundOf = async (runtime: Runtime, app: AppName): Promise<readonly Container[]> =>
  (await runtime.leftBehind()).filter(container => container.app === app)
