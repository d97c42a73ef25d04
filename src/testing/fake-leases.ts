import { ShadowError } from '../lib/errors.ts'
import type { VolumeId } from '../model/names.ts'
import type { HeldLease, LeaseKeeper } from '../nodeproxy/leases/lease-keeper.ts'
import type { VolumeRef } from '../nodeproxy/volumes/block-drivers.ts'

/** Leases that every caller gets. If leases expire, a test ends one by `lose`. */
export class FakeLeases implements LeaseKeeper {
  readonly calls: string[] = []
  /** What the next calls of `take` fail with. */
  failure: ShadowError | undefined
  readonly #expire: boolean
  readonly #held = new Map<VolumeId, AbortController>()

  constructor({ expire = false } = {}) {
    this.#expire = expire
  }

  async take({ id: volume }: VolumeRef): Promise<HeldLease> {
    this.calls.push(`take ${volume}`)
    if (this.failure !== undefined) throw this.failure
    const lost = new AbortController()
    this.#held.set(volume, lost)
    return { epoch: 1, lost: this.#expire ? lost.signal : undefined }
  }

  async release(volume: VolumeId): Promise<void> {
    this.calls.push(`release ${volume}`)
    this.#held.delete(volume)
  }

  async surrender(volume: VolumeId): Promise<void> {
    this.calls.push(`surrender ${volume}`)
    this.forget(volume)
  }

  validUntil(): undefined {
    return undefined
  }

  forget(volume: VolumeId): void {
    this.#held.delete(volume)
  }

  /** Another node has the volume now. */
  lose(volume: VolumeId): void {
    this.#held.get(volume)?.abort(new ShadowError('volume-elsewhere', `the node n2 has the volume ${volume}`))
  }
}
