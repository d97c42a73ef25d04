import type { VolumeId } from '../../model/names.ts'
import type { SnapshotRef, Snapshots } from './snapshots.ts'

/** A block device that a volume is attached as, such as `/dev/loop3`. */
export type Device = string & { readonly brand: 'Device' }

/** Puts an empty filesystem on the blank device or image at `path`. */
export type Format = (path: string) => Promise<void>

export type Creation = {
  /** Of the lease that the caller has. A call that is repeated under one lease makes no second volume, even where its first answer was lost. */
  readonly epoch?: number | undefined
  /** The snapshot whose bytes the volume begins with: a finished one, of this volume or another one of the driver. */
  readonly from?: SnapshotRef | undefined
}

/**
 * Block storage: devices, and nothing of what is on them. Every call may be repeated: "already so" is success. A call that
 * was cut short by a crash is made good when it is made again. Only `create`, `grow` and `remove` change stored bytes.
 */
export interface BlockDriver {
  /**
   * Whether the storage itself refuses a second machine while one has the volume attached. Where it does not, the lease of
   * the volume expires, and its holder must stop writing before that.
   */
  readonly excludes: boolean
  /** The zone that new volumes are made in; only nodes of a volume's zone can attach it. Left out where storage has no zones. */
  readonly zone?: string
  /**
   * Makes the volume where there is none, at least `sizeBytes` large, and calls `format` once with its blank bytes. The volume
   * exists only after `format` has returned, so that a killed run never leaves a half-made filesystem behind. A volume that
   * exists is left as it is, whatever its size and its bytes. A volume that is made from a snapshot is at least as large as that, has its
   * bytes, and is not formatted. Fails with `disk-full`, `volume-broken`; with `not-found` where there is no such snapshot.
   */
  create(volume: VolumeId, sizeBytes: number, format: Format, signal: AbortSignal, creation?: Creation): Promise<void>
  /**
   * Makes the device at least `sizeBytes` large; the filesystem on it stays as large as it was. A driver that cannot grow an
   * attached volume detaches it first. Fails with `bad-input` (larger than that already), `disk-full`, `volume-in-use`, `not-found`.
   */
  grow(volume: VolumeId, sizeBytes: number, signal: AbortSignal): Promise<void>
  /**
   * Makes the device of an attached volume at least `sizeBytes` large while it is used, and answers with it. Left out by a driver that has to
   * detach it for that. Fails as `grow` does.
   */
  growAttached?(volume: VolumeId, sizeBytes: number, signal: AbortSignal): Promise<Device>
  /** Attaches the volume to this machine. Fails with `not-found`; with `volume-in-use` where another machine has it. */
  attach(volume: VolumeId, signal: AbortSignal): Promise<Device>
  /** Detaches the volume from this machine, and only from this machine. Fails with `volume-in-use` while it is mounted. */
  detach(volume: VolumeId): Promise<void>
  /** Deletes the bytes of a detached volume. Fails with `volume-in-use`. */
  remove(volume: VolumeId): Promise<void>
  /** Volumes attached to this machine: what a run before this one left. */
  attached(): Promise<readonly { volume: VolumeId; device: Device }[]>
  /** The file that has the volume's bytes, or will have them; left out where the bytes are in no file that this machine sees. */
  readonly file?: (volume: VolumeId) => string
  /** Left out by a driver that cannot take snapshots. */
  readonly snapshots?: Snapshots
}
