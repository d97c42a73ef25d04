import type { VolumeId } from '../../model/names.ts'
import type { VolumeRef } from '../volumes/block-drivers.ts'

/** A lease that this node holds. */
export type HeldLease = {
  /** Grows with each holder of the volume. */
  readonly epoch: number
  /**
   * Aborts when the volume may soon belong to another node; the reason is a ShadowError. Whoever writes to the volume must have
   * stopped within `LeaseTimes.stopWithin` from then on. Undefined for a lease that lasts until it is given up.
   */
  readonly lost: AbortSignal | undefined
}

/** The leases of this node: rights to attach volumes. Every call may be repeated. */
export interface LeaseKeeper {
  /**
   * Takes the lease and keeps it; `expires`: whether it has to be renewed, see `BlockDriver.excludes`. Fails with `volume-elsewhere`,
   * `master-unreachable`, `changed`.
   */
  take(volume: VolumeRef & { readonly expires: boolean }, signal: AbortSignal): Promise<HeldLease>
  /**
   * Releases a lease that would expire, after the volume was detached, so that another node need not wait for the expiry. A lease without
   * expiry is kept, since the volume's bytes are here. Never fails: if no master answers, the lease expires.
   */
  release(volume: VolumeId): Promise<void>
  /** Forgets a volume whose bytes were removed. */
  forget(volume: VolumeId): void
}
