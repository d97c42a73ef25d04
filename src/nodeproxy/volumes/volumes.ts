import type { VolumeUse } from '../../model/instance.ts'
import type { VolumeId } from '../../model/names.ts'

/** A block device that a volume is attached as, such as `/dev/loop3`. */
export type Device = string & { readonly brand: 'Device' }

/** Block storage. Every call may be repeated: "already so" is success, and its opposite ends a call cut short. */
export interface VolumeDriver {
  /** Whether this machine has the bytes of the volume. */
  has(volume: VolumeId): Promise<boolean>
  /**
   * Attaches the volume to this machine, made with a filesystem on its first use and grown to `sizeBytes` where it is smaller;
   * never made again over data. Fails with `disk-full`, `volume-broken`, `bad-input` (smaller than it is).
   */
  attach(volume: VolumeId, sizeBytes: number, signal: AbortSignal): Promise<Device>
  /** Repairs what a crash left in the filesystem, by its journal. Fails with `volume-broken`. */
  check(volume: VolumeId, device: Device, signal: AbortSignal): Promise<void>
  /** Detaches the volume from this machine, and only from this machine. Fails while it is mounted. */
  detach(volume: VolumeId): Promise<void>
  /** Deletes the bytes of a detached volume. Fails with `volume-in-use`. */
  remove(volume: VolumeId): Promise<void>
  /** Volumes attached to this machine: what a run before this one left. */
  attached(): Promise<readonly { volume: VolumeId; device: Device }[]>
}

/** Mounts of volumes, each at one folder of its own. */
export interface Mounts {
  /** Where the volume is, or will be, mounted. */
  at(volume: VolumeId): string
  /** Makes the folder, so that it can be bound before the volume is there. */
  prepare(volume: VolumeId): Promise<void>
  mount(volume: VolumeId, device: Device, signal: AbortSignal): Promise<void>
  /**
   * Has `put` fill a mounted volume that no app has had yet, and does nothing where one has, or where there is data. A call
   * that was cut short is made good by the next, which begins with an empty volume again.
   */
  fill(volume: VolumeId, device: Device, put: (at: string) => Promise<void>): Promise<void>
  /** Fails while anything uses it; never lazily. */
  unmount(volume: VolumeId): Promise<void>
  /** The file on this machine's disk that has the volume's bytes, or will have them. */
  image(volume: VolumeId): string
  /** How full the volume is, mounted or not; undefined where its bytes are not here. */
  use(volume: VolumeId): Promise<VolumeUse | undefined>
  /** The same of all that are here. */
  uses(): Promise<readonly (VolumeUse & { readonly id: VolumeId })[]>
  /** Volumes mounted on this machine under our folder. */
  mounted(): Promise<readonly VolumeId[]>
}
