import type { InstanceId } from '../../model/instance-id.ts'
import { isStuck } from '../refusals.ts'
import type { FoundContainer } from '../runtime/runtime.ts'
import type { FormerRun } from './former-run.ts'

/** So many earlier releases of an instance may run beside the newest one. */
const MOST = 3

/** The runs of earlier releases of an instance, the oldest first. */
export class FormerRuns {
  readonly #instance: InstanceId
  readonly #all = new Set<FormerRun>()

  constructor(instance: InstanceId) {
    this.#instance = instance
  }

  get all(): readonly FormerRun[] {
    return [...this.#all]
  }

  get inUse(): boolean {
    for (const run of this.#all) if (run.inUse) return true
    return false
  }

  /** The run of this revision. */
  of(revision: number): FormerRun | undefined {
    return this.all.findLast(run => run.revision === revision)
  }

  add(run: FormerRun): void {
    this.#all.add(run)
  }

  remove(run: FormerRun): void {
    this.#all.delete(run)
  }

  /** Makes room for one more: while there are too many, the oldest one drains within this time. */
  async makeRoom(withinMs: number): Promise<void> {
    while (this.#all.size >= MOST) {
      const [oldest] = this.#all
      await oldest?.drain(withinMs)
      if (oldest !== undefined && this.#all.has(oldest)) return // it is stuck, and its memory is counted
    }
  }

  /** Ends all of them, each with so much time for its uses as `withinMs` says. Fails with `app-stuck` if one could not be removed. */
  async end(withinMs: (run: FormerRun) => number): Promise<void> {
    await Promise.all(this.all.map(run => run.drain(withinMs(run))))
    const [stuck] = this.#all
    if (stuck !== undefined)
      throw isStuck(this.#instance, ['stop'], new Error(`the container of release ${stuck.revision} was not removed`))
  }

  /** Compares them with the containers that were found at the time `at`. */
  compare(at: number, found: readonly FoundContainer[]): void {
    for (const run of this.#all) if (run.running.readyAt < at) run.compare(found)
  }

  letGo(): void {
    for (const run of this.#all) run.letGo()
  }
}
