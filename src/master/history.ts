import { isFailure, ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { Seals } from '../lib/seals.ts'
import type { App } from '../model/app.ts'
import type { AppName } from '../model/names.ts'
import type { TaskDefinition } from '../model/task.ts'
import { openTask, sealTask } from './sealed-task.ts'
import type { Storage } from './storage/storage.ts'

export type History = ReturnType<typeof taskHistory>

/**
 * The revisions before the current one, each in `tasks/<app>/<revision>.json`. The current revision is in the app's own document:
 * so one write makes a revision, and a revision that lost a race leaves nothing behind.
 */
export function taskHistory(storage: Storage, seals: Seals) {
  const keyOf = (app: AppName, revision: number): string => `tasks/${app}/${revision}.json`

  const revisions = async (app: AppName): Promise<readonly number[]> => {
    const keys = await storage.list(`tasks/${app}/`)
    return keys.map(key => Number(key.slice(`tasks/${app}/`.length, -'.json'.length)))
  }

  const read = async (app: AppName, revision: number): Promise<TaskDefinition | undefined> => {
    const stored = await storage.get(keyOf(app, revision))
    return stored && openTask(stored.value, seals)
  }

  return {
    /** Stores a revision that is about to be replaced; a revision that is stored already is success. */
    async keep(task: TaskDefinition): Promise<void> {
      try {
        await storage.create(keyOf(task.app, task.revision), sealTask(task, seals))
      } catch (error) {
        if (!isFailure(error, 'already-exists')) throw error
      }
    },

    async get(app: App, revision: number): Promise<TaskDefinition> {
      const task = revision === app.task.revision ? app.task : await read(app.name, revision)
      if (task === undefined) throw new ShadowError('not-found', `${app.name} has no revision ${revision}`)
      return task
    },

    /** All revisions, newest first. */
    async list(app: App): Promise<readonly TaskDefinition[]> {
      const before = (await revisions(app.name)).filter(revision => revision < app.task.revision).sort((a, b) => b - a)
      const tasks = await mapAtMost(16, before, revision => read(app.name, revision))
      return [app.task, ...tasks.filter(task => task !== undefined)]
    },

    /** Removes the revisions of a removed app. A later app of the same name has higher revisions. */
    async forget(app: AppName, upTo: number): Promise<void> {
      const old = (await revisions(app)).filter(revision => revision <= upTo)
      await mapAtMost(16, old, revision => storage.remove(keyOf(app, revision)))
    },
  }
}
