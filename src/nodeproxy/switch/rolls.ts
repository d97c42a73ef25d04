import { KeyedMutex } from '../../lib/mutex.ts'
import { appOf, type InstanceId } from '../../model/instance-id.ts'
import type { AppName } from '../../model/names.ts'

/** The turns of the instances of each app to be switched to a newer release: one at a time, so that never all of them are new at once. */
export class Rolls {
  readonly #turns = new KeyedMutex<AppName>()
  readonly #taken = new Map<AppName, number>()

  /** Whether another instance of its app has the turn, or waits for it. */
  isTaken(instance: InstanceId): boolean {
    return this.#taken.has(appOf(instance))
  }

  /** Runs the task in the turn of its app. */
  async take(instance: InstanceId, task: () => Promise<void>): Promise<void> {
    const app = appOf(instance)
    this.#taken.set(app, (this.#taken.get(app) ?? 0) + 1)
    try {
      await this.#turns.take(app, task)
    } finally {
      const left = (this.#taken.get(app) ?? 1) - 1
      if (left === 0) this.#taken.delete(app)
      else this.#taken.set(app, left)
    }
  }
}
