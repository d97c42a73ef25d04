import { z } from 'zod'
import { ProblemSchema, TaskSchema } from '../api/schemas.ts'
import type { Problem } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { SealedFiles } from '../lib/sealed-files.ts'
import type { Seals } from '../lib/seals.ts'
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

/** The same of all apps, in encrypted files, so that a restart of the node does not try a bad revision again. */
export class Revisions {
  readonly #files: SealedFiles<AppName, Known>
  readonly #known = new Map<AppName, Known>()

  constructor(given: { folder: string; seals: Seals; log: Log }) {
    this.#files = new SealedFiles({
      ...given,
      what: 'revisions',
      contextOf: app => `the revisions of ${app}`,
      isName: isAppName,
      parse: document => Known.parse(document) as Known,
    })
  }

  /** Reads what was kept. An app whose file cannot be read counts as one that never ran. */
  async load(): Promise<void> {
    for (const [app, known] of await this.#files.all()) this.#known.set(app, known)
  }

  of(app: AppName): Known {
    return this.#known.get(app) ?? {}
  }

  /** Keeps it; the file is written in the background. */
  keep(app: AppName, known: Known): void {
    this.#known.set(app, known)
    this.#files.keep(app, known)
  }

  forget(app: AppName): void {
    if (this.#known.delete(app)) this.#files.forget(app)
  }

  /** Resolves when all is written. */
  flush(): Promise<void> {
    return this.#files.flush()
  }
}
