import type { InstanceId } from '../../model/instance-id.ts'

type Sample = { readonly bytes: number; readonly at: number }

/** What was written longer ago than this does not count any more. */
const WINDOW_MS = 60_000

/**
 * How much instances have grown within the last minute, from measurements at any times. Growth since the last measurement alone
 * would miss those that write while others are measured, and those that write little between two measurements.
 */
export class Growth {
  /** The first of each list is what growth is counted from. */
  readonly #samples = new Map<InstanceId, Sample[]>()

  has(id: InstanceId): boolean {
    return this.#samples.has(id)
  }

  /** `bytes`: all that the instance takes, at this time in milliseconds. */
  add(id: InstanceId, bytes: number, at: number): void {
    const samples = [...(this.#samples.get(id) ?? []), { bytes, at }]
    const kept = samples.findLastIndex(sample => at - sample.at >= WINDOW_MS)
    this.#samples.set(id, samples.slice(Math.max(0, kept)))
  }

  /** Bytes; 0 for an instance that is not known. */
  of(id: InstanceId): number {
    const samples = this.#samples.get(id) ?? []
    return (samples.at(-1)?.bytes ?? 0) - (samples[0]?.bytes ?? 0)
  }

  /** Growth counts from now on. */
  settle(): void {
    for (const [id, samples] of this.#samples) this.#samples.set(id, samples.slice(-1))
  }

  /** Forgets all others. */
  retain(ids: ReadonlySet<InstanceId>): void {
    for (const id of this.#samples.keys()) if (!ids.has(id)) this.#samples.delete(id)
  }

  clear(): void {
    this.#samples.clear()
  }
}
