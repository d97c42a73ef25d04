import type { FailureCode } from '../lib/errors.ts'
import type { StopReason, WakeCause, WakeTier } from '../model/instance.ts'
import type { Steps } from './state.ts'

/** A wake that has made its app ready. `cause` is undefined for what an earlier run of the node has begun. */
export type EndedWake = { readonly cause: WakeCause | undefined; readonly ms: number; readonly steps: Steps }
export type FailedWake = { readonly cause: WakeCause | undefined; readonly code: FailureCode }

/** Who is told of each wake. */
export type WakeListener = { woken(wake: EndedWake, tier: WakeTier): void; wakeFailed(wake: FailedWake): void }

/** Counters of wakes and stops, for all instances of a node. */
export class InstanceCounters {
  /** For how long instances have been awake, those left out that are awake now. */
  awakeMs = 0
  /** Times that an awake app began to stop, by why. */
  readonly stops: Record<StopReason, number> = {
    self: 0,
    idle: 0,
    room: 0,
    memory: 0,
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
    paused: 0,
  }
  readonly #listener: WakeListener | undefined

  constructor(listener?: WakeListener) {
    this.#listener = listener
  }

  woken(wake: EndedWake, from: WakeTier): void {
    this.#listener?.woken(wake, from)
  }

  wakeFailed(wake: FailedWake): void {
    this.#listener?.wakeFailed(wake)
  }
}
