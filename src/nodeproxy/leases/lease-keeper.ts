import type { VolumeId } from '../../model/names.ts'
import type { LeaseTerms, VolumeRef } from '../volumes/block-drivers.ts'

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
   * Takes the lease and keeps it; a lease that expires is renewed. Where the storage itself excludes a second holder, the lease is never
   * `lost`: it only tells other nodes where the volume is. `isAttached`: the volume is attached here from an earlier run, so a lease of
   * that kind may be taken later. Fails with `volume-elsewhere`, `master-unreachable`, `changed`, `no-node` (in another zone).
   */
  take(volume: VolumeRef & LeaseTerms & { readonly isAttached?: boolean }, signal: AbortSignal): Promise<HeldLease>
  /**
   * Releases a lease that would expire, after the volume was detached, so that another node need not wait for the expiry. A lease without
   * expiry is kept, since the volume's bytes are here. Never fails: if no master answers, the lease expires.
   */
  release(volume: VolumeId): Promise<void>
  /** Forgets a lease without expiry for good, though the master has it as this node's: the next `take` asks the master. */
  surrender(volume: VolumeId): Promise<void>
  /**
   * Until when, by the clock, no other node can have the volume: one number, in memory that threads share, which grows with each renewal.
   * Undefined for a lease that is never lost.
   */
  validUntil(volume: VolumeId): Float64Array | undefined
  /** Forgets a volume whose bytes were removed. */
  forget(volume: VolumeId): void
}
