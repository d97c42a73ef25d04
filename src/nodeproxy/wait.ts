import { deadline } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import type { HoldRequest } from '../model/instance.ts'
import { appOf, type InstanceId } from '../model/instance-id.ts'
import type { Holds } from './holds.ts'
import type { Queue } from './queue.ts'
import { isWaking } from './refusals.ts'
import type { Steps } from './state.ts'

type Parts = { readonly instance: InstanceId; readonly queue: Queue; readonly holds: Holds; readonly clock: Clock }

/** One that waits for a wake: it takes room in the queue, and counts as use, until it is disposed of. */
export class Wait implements Disposable {
  /** Aborts when it leaves, or its patience ends. */
  readonly signal: AbortSignal
  readonly #from = performance.now()
  readonly #held = new DisposableStack()

  /** Fails with `queue-full`. */
  constructor({ patienceMs, bytes }: HoldRequest, leaves: AbortSignal, { instance, queue, holds, clock }: Parts) {
    this.#held.use(queue.join(appOf(instance), bytes))
    this.#held.use(holds.wait())
    this.signal =
      patienceMs === undefined
        ? leaves
        : AbortSignal.any([leaves, this.#held.use(deadline(clock, patienceMs, () => isWaking(instance))).signal])
  }

  /** How long it waited so far, in ms, beside the steps of the wake that it waited for. */
  took(steps: Steps | undefined): Readonly<Record<string, number>> {
    return { ...steps, wake: Math.round(performance.now() - this.#from) }
  }

  [Symbol.dispose](): void {
    this.#held.dispose()
  }
}
