import { ShadowError } from '../../lib/errors.ts'
import type { VolumeId } from '../../model/names.ts'

/** What this node does with the bytes of volumes, besides serving their apps: one thing at a time for each volume. */
export class BusyVolumes {
  readonly #doing = new Map<VolumeId, string>()

  /** Runs the task; fails with `volume-in-use` while another one runs for this volume. */
  async take<T>(volume: VolumeId, what: string, task: () => Promise<T>): Promise<T> {
    using _ = this.hold(volume, what)
    return await task()
  }

  /** The same, until it is disposed of. */
  hold(volume: VolumeId, what: string): Disposable {
    const before = this.#doing.get(volume)
    if (before !== undefined)
      throw new ShadowError('volume-in-use', `the volume ${volume} is busy: ${before} is under way`, {
        hint: 'try again when that has ended',
        retryAfterMs: 5_000,
      })
    this.#doing.set(volume, what)
    return { [Symbol.dispose]: () => void this.#doing.delete(volume) }
  }
}
