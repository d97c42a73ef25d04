import { isFailure, type ShadowError } from '../lib/errors.ts'
import type { InstanceView } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { PinnedImage, TaskDefinition } from '../model/task.ts'
import type { Known, Revisions } from './revisions.ts'

type Revision = { readonly revision: number; readonly createdAt: string }

type Options = {
  readonly id: InstanceId
  readonly revisions: Pick<Revisions, 'of' | 'keep'> | undefined
  /** Told of a revision that cannot be made ready, with the earlier one that runs in its place. */
  readonly onRejected: (revision: number, good: number, problem: ShadowError) => void
  readonly onChange: () => void
}

/** Which revision an instance runs: the current one, or the last one that was ready if the current one cannot be made ready. */
export class RevisionChoice {
  readonly #options: Options
  #current: TaskDefinition
  #known: Known

  constructor(current: TaskDefinition, options: Options) {
    this.#current = current
    this.#options = options
    this.#known = options.revisions?.of(options.id) ?? {}
  }

  get current(): TaskDefinition {
    return this.#current
  }

  /** What to run at the next wake. */
  get next(): TaskDefinition {
    const { good, bad } = this.#known
    if (good === undefined) return this.#current
    // A revision runs the image that it ran first, whatever its tag names by now.
    if (isSame(good, this.#current))
      return this.#current.pinned === undefined ? { ...this.#current, pinned: good.pinned } : this.#current
    if (bad === undefined || !isSame(bad, this.#current)) return this.#current
    // A volume that was made larger since is not made smaller again.
    const { volume } = good
    return volume === undefined
      ? good
      : { ...good, volume: { ...volume, size: this.#current.volume?.size ?? volume.size } }
  }

  /** The current revision, if an earlier one runs in its place; null if none does. */
  get rejected(): InstanceView['rejected'] {
    const { bad } = this.#known
    if (bad === undefined || !isSame(bad, this.#current)) return null
    return { revision: bad.revision, problem: bad.problem }
  }

  /** The image that the current revision ran when it was ready; undefined if it never was. */
  get ranImage(): PinnedImage | undefined {
    const { good } = this.#known
    return isSame(good, this.#current) ? good?.pinned : undefined
  }

  /** Takes a definition as the current one; returns whether it is another one. */
  define(task: TaskDefinition): boolean {
    if (isSame(task, this.#current)) return false
    this.#current = task
    return true
  }

  /** Forgets that a revision was rejected, since a person wants another try. */
  tryAgain(): void {
    this.#learn({ good: this.#known.good })
  }

  /**
   * Remembers that the current revision cannot be made ready, if an earlier one can run in its place; returns whether that is so. `serves`: the
   * earlier one that runs meanwhile.
   */
  reject(task: TaskDefinition, problem: unknown, serves?: Revision): boolean {
    const { good } = this.#known
    const other = serves ?? good
    if (!isOfRevision(problem) || other === undefined || isSame(other, task) || isSame(good, task)) return false
    if (!isSame(task, this.#current)) return false
    const { revision, createdAt } = task
    this.#learn({ good, bad: { revision, createdAt, problem: problem.toProblem() } })
    this.#options.onRejected(revision, other.revision, problem)
    return true
  }

  /** Remembers a revision that was ready. */
  ranWell(task: TaskDefinition): void {
    const { good, bad } = this.#known
    if (isSame(good, task) && good?.pinned?.id === task.pinned?.id) return
    this.#learn({ good: task, bad: isSame(bad, task) ? undefined : bad })
  }

  #learn(known: Known): void {
    this.#known = known
    this.#options.revisions?.keep(this.#options.id, known)
    this.#options.onChange()
  }
}

export const isSame = (one: Revision | undefined, other: Revision): boolean =>
  one !== undefined && one.revision === other.revision && one.createdAt === other.createdAt

/** Failures of a revision, and not of this machine: with them the revision before is better than nothing. */
const isOfRevision = (problem: unknown): problem is ShadowError =>
  isFailure(problem, 'app-crashed', 'app-not-ready', 'command-not-found', 'definition-refused', 'image-not-found')
