import { z } from 'zod'
import { ProblemSchema } from '../api/problem-schema.ts'
import { TaskSchema } from '../api/schemas.ts'
import type { Problem } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { SealedFiles } from '../lib/sealed-files.ts'
import type { Seals } from '../lib/seals.ts'
import { type InstanceId, isInstanceId } from '../model/instance-id.ts'
import type { TaskDefinition } from '../model/task.ts'

const Known = z.object({
  good: TaskSchema.optional(),
  bad: z.object({ revision: z.int(), createdAt: z.string(), problem: ProblemSchema }).optional(),
})

/** What an instance has learnt of its app's revisions by running them. */
export type Known = {
  /** The last revision that was ready, with the image that it ran. */
  readonly good?: TaskDefinition | undefined
  /** A later one that could not be made ready: the good one runs in its place. */
  readonly bad?: { readonly revision: number; readonly createdAt: string; readonly problem: Problem } | undefined
}

/** The same of all instances, in encrypted files, so that a restart of the node does not try a bad revision again. */
export class Revisions {
  readonly #files: SealedFiles<InstanceId, Known>
  readonly #known = new Map<InstanceId, Known>()

  constructor(given: { folder: string; seals: Seals; log: Log }) {
    this.#files = new SealedFiles({
      ...given,
      what: 'revisions',
      contextOf: instance => `the revisions of ${instance}`,
      isName: isInstanceId,
      parse: document => Known.parse(document) as Known,
    })
  }

  /** Reads what was kept. An instance whose file cannot be read counts as one that never ran. */
  async load(): Promise<void> {
    for (const [instance, known] of await this.#files.all()) this.#known.set(instance, known)
  }

  of(instance: InstanceId): Known {
    return this.#known.get(instance) ?? {}
  }

  /** The last good revisions of all instances. */
  get good(): readonly TaskDefinition[] {
    return [...this.#known.values()].flatMap(({ good }) => good ?? [])
  }

  /** Keeps it; the file is written in the background. */
  keep(instance: InstanceId, known: Known): void {
    this.#known.set(instance, known)
    this.#files.keep(instance, known)
  }

  forget(instance: InstanceId): void {
    if (this.#known.delete(instance)) this.#files.forget(instance)
  }

  /** Resolves when all is written. */
  flush(): Promise<void> {
    return this.#files.flush()
  }
}
