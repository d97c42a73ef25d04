import { type SleepStep, WAKE_STEPS, type WakeStep } from '../../model/instance.ts'
import type { StepTime } from '../../model/timeline.ts'

/** When the steps of a wake began and ended, from now on. */
export class StepTimes {
  readonly #began = performance.now()
  readonly #steps = new Map<WakeStep, { readonly startMs: number; endMs?: number }>()

  /** How long the wake has gone on. */
  get ms(): number {
    return tenths(performance.now() - this.#began)
  }

  step(step: WakeStep | SleepStep, when: 'before' | 'after'): void {
    if (!isWakeStep(step)) return
    if (when === 'before') this.#steps.set(step, { startMs: this.ms })
    const known = this.#steps.get(step)
    if (when === 'after' && known !== undefined) known.endMs = this.ms
  }

  /** In the order in which they began. A step that is still under way, or has failed, lasts until now. */
  get steps(): readonly StepTime[] {
    const now = this.ms
    return [...this.#steps]
      .map(([step, { startMs, endMs = now }]) => ({ step, startMs, ms: tenths(endMs - startMs) }))
      .toSorted((a, b) => a.startMs - b.startMs)
  }
}

const isWakeStep = (step: WakeStep | SleepStep): step is WakeStep => (WAKE_STEPS as readonly string[]).includes(step)
const tenths = (ms: number): number => Math.round(ms * 10) / 10
