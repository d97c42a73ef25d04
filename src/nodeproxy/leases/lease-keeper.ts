import type { VolumeId } from '../../model/names.ts'

/** A lease that this node holds. */
export type HeldLease = {
  /** Grows with each holder of the volume. */
  readonly epoch: number
  /**
   * Aborts when the volume may soon belong to another node; the reason is a ShadowError. Whoever writes to the volume must have
   * stopped within `LEASE_STOP_WITHIN` from then on. Undefined for a lease that lasts until it is given up.
   */
  readonly lost: AbortSignal | undefined
}

/** The leases of this node: who may attach a volume. Every call may be repeated. */
export interface LeaseKeeper {
  /** Takes the lease and keeps it. Fails with `volume-elsewhere`, `master-unreachable`. */
  take(volume: VolumeId, signal: AbortSignal): Promise<HeldLease>
  /**
   * Gives up a lease that would expire, once the volume is detached, so that another node need not wait for that. A lease that
   * lasts until it is given up is kept, since the volume's bytes are here. Never fails: what no master is told of expires.
   */
  release(volume: VolumeId): Promise<void>
  /** Forgets a volume whose bytes were removed. */
  forget(volume: VolumeId): void
}
