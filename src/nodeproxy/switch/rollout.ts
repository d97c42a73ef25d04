import { type Clock, timestamp } from '../../lib/clock.ts'
import type { ShadowError } from '../../lib/errors.ts'
import type { InstanceView } from '../../model/instance.ts'
import type { RolloutStage } from '../../model/rollout.ts'

/** How an instance came to its current revision, stage by stage: for whoever waits for it, and for views. */
export class Rollout {
  readonly #clock: Clock
  readonly #onChange: () => void
  #view: NonNullable<InstanceView['rollout']> | undefined

  constructor(clock: Clock, onChange: () => void) {
    this.#clock = clock
    this.#onChange = onChange
  }

  get view(): InstanceView['rollout'] {
    return this.#view
  }

  /** Whether the revision serves, or has served. */
  hasServed(revision: number): boolean {
    return this.#view?.revision === revision && this.#view.stages.some(({ stage }) => stage === 'switched')
  }

  /** Something else of it has changed. */
  changed(): void {
    this.#onChange()
  }

  /** The revision has come to this stage. `problem`: why it did not come further. */
  reach(revision: number, stage: RolloutStage, { why, problem }: Reason = {}): void {
    const before = this.#view?.revision === revision ? this.#view.stages : []
    const step = {
      stage,
      at: timestamp(this.#clock),
      ...(why !== undefined && { why }),
      ...(problem !== undefined && { problem: problem.toProblem() }),
    }
    this.#view = { revision, stages: [...before, step].slice(-MOST_STAGES) }
    this.#onChange()
  }
}

type Reason = { readonly why?: string | undefined; readonly problem?: ShadowError | undefined }

/** A revision that is put off is tried again and again. */
const MOST_STAGES = 30
