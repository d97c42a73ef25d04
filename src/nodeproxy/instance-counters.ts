import type { StopReason } from '../model/instance.ts'

/** Counters of wakes and stops, for all instances of a node. */
export class InstanceCounters {
  wakes = 0
  failedWakes = 0
  /** Times that an awake app began to stop, by why. */
  readonly stops: Record<StopReason, number> = {
    self: 0,
    idle: 0,
    room: 0,
    asked: 0,
    updated: 0,
    removed: 0,
    shutdown: 0,
    died: 0,
    'lease-lost': 0,
    drained: 0,
    'drain-deadline': 0,
    restored: 0,
    budget: 0,
    companion: 0,
  }
  readonly #onWake: (ms: number) => void

  constructor(onWake: (ms: number) => void = () => undefined) {
    this.#onWake = onWake
  }

  woken(ms: number): void {
    this.wakes += 1
    this.#onWake(ms)
  }
}
