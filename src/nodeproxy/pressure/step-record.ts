import type { Phase } from '../../model/instance.ts'
import type { InstanceId } from '../../model/instance-id.ts'

type Seen = { readonly id: InstanceId; readonly phase: Phase; readonly since: number }

/** An instance that was used again so soon after its step down should not have been chosen. */
const BACK_WITHIN_MS = 5 * 60_000
/** So long it is not chosen again. */
const SPARED_MS = 15 * 60_000

/** Remembers which instances were stepped down, so that one that comes back at once is not stepped down again and again. */
export class StepRecord {
  readonly #steppedAt = new Map<InstanceId, number>()
  readonly #sparedUntil = new Map<InstanceId, number>()

  stepped(id: InstanceId, now: number): void {
    this.#steppedAt.set(id, now)
  }

  /** Looks which of those that were stepped down are back. */
  look(instances: readonly Seen[], now: number): void {
    for (const [id, until] of this.#sparedUntil) if (until <= now) this.#sparedUntil.delete(id)
    if (this.#steppedAt.size === 0) return
    const seen = new Map(instances.map(instance => [instance.id, instance]))
    for (const [id, at] of this.#steppedAt) {
      const { phase, since } = seen.get(id) ?? {}
      const isBack = phase === 'waking' || (phase === 'awake' && since !== undefined && since >= at)
      if (isBack) this.#sparedUntil.set(id, now + SPARED_MS)
      if (isBack || now - at > BACK_WITHIN_MS || phase === undefined) this.#steppedAt.delete(id)
    }
  }

  isSpared(id: InstanceId): boolean {
    return this.#sparedUntil.has(id)
  }
}
