import { readdir, rm } from 'node:fs/promises'
import { z } from 'zod'
import { ProblemSchema, TaskSchema } from '../api/schemas.ts'
import { type Problem, systemCode } from '../lib/errors.ts'
import { readIfThere, writeWhole } from '../lib/files.ts'
import type { Log } from '../lib/log.ts'
import type { Seals } from '../lib/seals.ts'
import { Turns } from '../lib/turn.ts'
import { type AppName, isAppName } from '../model/names.ts'
import type { TaskDefinition } from '../model/task.ts'

const Known = z.object({
  good: TaskSchema.optional(),
  bad: z.object({ revision: z.int(), createdAt: z.string(), problem: ProblemSchema }).optional(),
})

/** What this node has learnt of an app's revisions by running them. */
export type Known = {
  /** The last revision that was ready, with the image that it ran. */
  readonly good?: TaskDefinition | undefined
  /** A later one that could not be made ready: the good one runs in its place. */
  readonly bad?: { readonly revision: number; readonly createdAt: string; readonly problem: Problem } | undefined
}

/** The same of all apps, in files, so that a restart of the node does not try a bad revision again. Definitions hold secrets: encrypted. */
export class Revisions {
  readonly #folder: string
  readonly #seals: Seals
  readonly #log: Log
  readonly #known = new Map<AppName, Known>()
  readonly #turns = new Turns<AppName>()
  readonly #writing = new Set<Promise<void>>()

  constructor({ folder, seals, log }: { folder: string; seals: Seals; log: Log }) {
    this.#folder = folder
    this.#seals = seals
    this.#log = log
  }

  /** Reads what was kept; a file that cannot be read is told of, and the app is as one that never ran. */
  async load(): Promise<void> {
    for (const file of await readdir(this.#folder).catch(noneYet)) {
      const app = file.slice(0, -5)
      if (!file.endsWith('.json') || !isAppName(app)) continue
      try {
        const { sealed } = JSON.parse((await readIfThere(this.#file(app))) ?? '')
        this.#known.set(app, Known.parse(JSON.parse(this.#seals.open(sealed, contextOf(app)))) as Known)
      } catch (cause) {
        this.#log.warn('kept revisions are not readable', { file, cause })
      }
    }
  }

  of(app: AppName): Known {
    return this.#known.get(app) ?? {}
  }

  /** Keeps it; the file is written behind the back of whoever waits for the app. */
  keep(app: AppName, known: Known): void {
    this.#known.set(app, known)
    const sealed = this.#seals.seal(JSON.stringify(known), contextOf(app))
    this.#behind(app, () => writeWhole(this.#file(app), `${JSON.stringify({ sealed })}\n`))
  }

  forget(app: AppName): void {
    if (this.#known.delete(app)) this.#behind(app, () => rm(this.#file(app), { force: true }))
  }

  /** Resolves when all is written. */
  async flush(): Promise<void> {
    await Promise.all(this.#writing)
  }

  #behind(app: AppName, write: () => Promise<void>): void {
    const writing: Promise<void> = this.#turns
      .take(app, write)
      .catch(cause => this.#log.warn('revisions not kept', { app, cause }))
      .finally(() => this.#writing.delete(writing))
    this.#writing.add(writing)
  }

  #file(app: AppName): string {
    return `${this.#folder}/${app}.json`
  }
}

const contextOf = (app: string): string => `the revisions of ${app}`

function noneYet(error: unknown): string[] {
  if (systemCode(error) === 'ENOENT') return []
  throw error
}
