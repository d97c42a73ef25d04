import { z } from 'zod'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { Seals } from '../lib/seals.ts'
import type { App } from '../model/app.ts'
import type { AppName } from '../model/names.ts'
import { inReach, OUTCOMES, type Outcome } from '../model/release.ts'
import type { TaskDefinition } from '../model/task.ts'
import { isSealed, openTask, sealTask } from './sealed-task.ts'
import type { Storage } from './storage/storage.ts'

export type History = ReturnType<typeof taskHistory>

/** A revision, and what became of it; no outcome: no node has told, or it is the current one. */
export type Kept = { readonly task: TaskDefinition; readonly outcome?: Outcome | undefined }

const OutcomeSchema = z.object({ outcome: z.enum(OUTCOMES).optional(), pinned: z.object({}).optional() })

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

  const read = async (app: AppName, revision: number): Promise<Kept | undefined> => {
    const stored = await storage.get(keyOf(app, revision))
    return stored && openKept(stored.value as object, seals)
  }

  /** The revisions in reach, newest first. A master that was late may have left one of an earlier app of the name: it is none of this app. */
  const list = async (app: App): Promise<readonly Kept[]> => {
    const before = (await revisions(app.name)).filter(revision => revision < app.task.revision)
    const found = await mapAtMost(16, before, revision => read(app.name, revision))
    const own = found.filter(one => one !== undefined && Date.parse(one.task.createdAt) >= Date.parse(app.createdAt))
    const all = [{ task: app.task }, ...(own as readonly Kept[])]
    return inReach(
      all.map(one => ({ ...one, revision: one.task.revision })),
      app.task.revision,
    ).map(({ revision: _, ...one }) => one)
  }

  return {
    /** Stores a revision that is about to be replaced; a revision that is stored already is success. */
    async keep(task: TaskDefinition, outcome: Outcome | undefined): Promise<void> {
      const key = keyOf(task.app, task.revision)
      const value = { ...sealTask(task, seals), outcome }
      try {
        await storage.create(key, value)
      } catch (error) {
        if (!isFailure(error, 'already-exists')) throw error
        // An earlier try, which lost its race, may have known less of it.
        const stored = await storage.get(key)
        const had = stored && OutcomeSchema.parse(stored.value)
        const knewLess = had && ((outcome && !had.outcome) || (task.pinned && !had.pinned))
        if (stored && knewLess) await storage.update(key, value, stored.etag)
      }
    },

    list,

    /** A revision in reach; fails with `not-found`, and says which ones there are. */
    async get(app: App, revision: number): Promise<Kept> {
      const all = await list(app)
      const found = all.find(({ task }) => task.revision === revision)
      if (found !== undefined) return found
      const has = all.map(({ task }) => task.revision).join(', ')
      const why = revision < app.task.revision ? `release ${revision} of ${app.name} is out of reach` : undefined
      throw new ShadowError('not-found', `${why ?? `${app.name} has no release ${revision}`}; it has ${has}`, {
        hint: `shadow releases ${app.name}`,
      })
    },

    /** Removes the revisions that are out of reach; returns the others, newest first. */
    async prune(app: App): Promise<readonly Kept[]> {
      const kept = await list(app)
      const has = new Set(kept.map(({ task }) => task.revision))
      const old = (await revisions(app.name)).filter(revision => revision < app.task.revision && !has.has(revision))
      await mapAtMost(16, old, revision => storage.remove(keyOf(app.name, revision)))
      return kept
    },

    /** Removes the revisions of a removed app. A later app of the same name has higher revisions. */
    async forget(app: AppName, upTo: number): Promise<void> {
      const old = (await revisions(app)).filter(revision => revision <= upTo)
      await mapAtMost(16, old, revision => storage.remove(keyOf(app, revision)))
    },
  }
}

/** The document of a revision encrypted with the newest key; undefined if it is already. */
export function resealedRevision(stored: object, seals: Seals): object | undefined {
  if (isSealed(stored, seals)) return undefined
  const { task, outcome } = openKept(stored, seals)
  return { ...sealTask(task, seals), outcome }
}

/** The outcome is beside the fields of the definition. */
function openKept(stored: object, seals: Seals): Kept {
  const { outcome: _, ...task } = stored as { outcome?: unknown }
  return { task: openTask(task, seals), outcome: OutcomeSchema.parse(stored).outcome }
}
