import type { VolumeUse } from '../../model/instance.ts'
import type { VolumeId } from '../../model/names.ts'
import type { Device } from '../volumes/block-driver.ts'
import type { Frozen } from './freeze.ts'

/**
 * The filesystem on a volume, over any device, mounted at one folder for each volume. Every call may be repeated: "already so"
 * is success. A filesystem that exists is never made again.
 */
export interface Filesystem {
  /** Puts an empty filesystem on a blank device or image. */
  make(path: string): Promise<void>
  /**
   * Makes the filesystem fit to be mounted: repairs what a crash left, by its journal, and grows it to the size of its device.
   * Fails with `volume-broken`, `disk-full`.
   */
  check(volume: VolumeId, device: Device, signal: AbortSignal): Promise<void>
  /**
   * Makes the filesystem of a mounted volume as large as its device. False where this process may not do that (CAP_SYS_RESOURCE): then `check`
   * does it, before the next mount. Fails with `volume-broken`, `disk-full`.
   */
  growMounted(volume: VolumeId, device: Device): Promise<boolean>
  /** Where the volume is, or will be, mounted. */
  at(volume: VolumeId): string
  /** Makes the folder to mount at, so that it can be bound into a container before the volume is there. */
  prepare(volume: VolumeId): Promise<void>
  /**
   * Makes sure that a later mount of the volume reaches containers that have begun before it and have its folder. Fails with `volume-in-use` while the
   * volume is mounted.
   */
  share(volume: VolumeId): Promise<void>
  /** Undoes that, once no container of before has the folder; does nothing while the volume is mounted. */
  unshare(volume: VolumeId): Promise<void>
  /** Mounts the volume. Fails with `volume-broken`; with `volume-in-use` where another device is mounted there. */
  mount(volume: VolumeId, device: Device, signal: AbortSignal): Promise<void>
  /**
   * Has `put` fill a mounted volume that no app has had yet, and does nothing where one has, or where there is data. A call
   * that was cut short is made good by the next, which begins with an empty volume again.
   */
  fill(volume: VolumeId, device: Device, put: (at: string) => Promise<void>): Promise<void>
  /**
   * Runs the task while a mounted volume takes no writes and its device has all of them; writers wait. The signal of the task aborts after
   * `withinMs`, and then this fails with `freeze-too-long`. A process that dies meanwhile leaves nothing frozen.
   */
  frozen<T>(volume: VolumeId, withinMs: number, task: (signal: AbortSignal) => Promise<T>): Promise<Frozen<T>>
  /** Has the device of a mounted volume get what was written so far; does nothing for one that is not mounted. */
  sync(volume: VolumeId): Promise<void>
  /** Thaws what a killed run of this node may have left frozen, and undoes what it has shared. */
  thaw(): Promise<void>
  /** Trims the volume where that gains enough, and unmounts it. Fails with `volume-in-use` while anything uses it; never lazily. */
  unmount(volume: VolumeId): Promise<void>
  /** How full the volume is, mounted or not; undefined where its bytes are not here. */
  use(volume: VolumeId): Promise<VolumeUse | undefined>
  /** How full each volume is whose bytes are here. */
  uses(): Promise<readonly (VolumeUse & { readonly id: VolumeId })[]>
  /** Volumes that are mounted below our folder. */
  mounted(): Promise<readonly VolumeId[]>
}
