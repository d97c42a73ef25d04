import { ShadowError } from '../../lib/errors.ts'
import type { VolumeId } from '../../model/names.ts'
import { driverOf, HAS_DRIVER, type VolumeDriver } from '../../model/task.ts'
import type { BlockDriver, Device } from './block-driver.ts'

/** A volume, as its task definition names it. */
export type VolumeRef = { readonly id: VolumeId; readonly driver?: VolumeDriver | undefined }

/** How a volume is leased: whether the lease expires, whether its storage keeps a second holder out by itself, and the zone it is in. */
export type LeaseTerms = { readonly expires: boolean; readonly excludes: boolean; readonly zone?: string }

/** The block drivers of this node. Each volume belongs to one of them, which its definition names. */
export class BlockDrivers {
  readonly #drivers: Readonly<Partial<Record<VolumeDriver, BlockDriver>>>
  /** The driver that each volume was last used by. */
  readonly #last = new Map<VolumeId, BlockDriver>()

  constructor(drivers: Readonly<Partial<Record<VolumeDriver, BlockDriver>>>) {
    this.#drivers = drivers
  }

  get names(): readonly VolumeDriver[] {
    return Object.keys(this.#drivers) as VolumeDriver[]
  }

  /** The driver of the volume; fails with `no-node` where this node does not have it. */
  of(volume: VolumeRef): BlockDriver {
    const driver = this.#drivers[driverOf(volume)]
    if (driver === undefined) throw hasNoDriver(volume)
    this.#last.set(volume.id, driver)
    return driver
  }

  /** Whether leases of the volume expire, since other nodes can have it too: its bytes are not on a disk of this machine. */
  expires(volume: VolumeRef): boolean {
    return this.termsOf(volume).expires
  }

  /** How the volume is leased. */
  termsOf(volume: VolumeRef): LeaseTerms {
    const driver = this.#drivers[driverOf(volume)]
    if (driver === undefined) return { expires: false, excludes: true }
    const isHere = driver.excludes && driver.file !== undefined
    return { expires: !isHere, excludes: driver.excludes, ...(driver.zone !== undefined && { zone: driver.zone }) }
  }

  /** The zone that volumes of this machine's cloud are in; undefined where no driver has zones. */
  get zone(): string | undefined {
    return Object.values(this.#drivers).find(({ zone }) => zone !== undefined)?.zone
  }

  /** Volumes attached to this machine by any driver. */
  async attached(): Promise<readonly (VolumeRef & { readonly driver: VolumeDriver; readonly device: Device })[]> {
    const found = await Promise.all(
      this.names.map(async name => {
        const attached = (await this.#drivers[name]?.attached()) ?? []
        return attached.map(({ volume, device }) => ({ id: volume, driver: name, device }))
      }),
    )
    for (const volume of found.flat()) this.of(volume)
    return found.flat()
  }

  /** Removes what killed runs of this node have begun, and what no later call would find. */
  async recover(): Promise<void> {
    for (const name of this.names) await this.#drivers[name]?.snapshots?.replacements?.recover()
  }

  /** See `BlockDriver.file`; a volume that was not used here yet counts as one of the usual driver. */
  file(volume: VolumeId): string | undefined {
    return this.#usedBy(volume)?.file?.(volume)
  }

  /** The file that has the volume's bytes, where it is on a disk of this machine. */
  localFile(volume: VolumeId): string | undefined {
    const driver = this.#usedBy(volume)
    return driver?.excludes ? driver.file?.(volume) : undefined
  }

  #usedBy(volume: VolumeId): BlockDriver | undefined {
    return this.#last.get(volume) ?? this.#drivers.loop
  }
}

const hasNoDriver = (volume: VolumeRef): ShadowError =>
  new ShadowError(
    'no-node',
    `this node has no volume driver ${driverOf(volume)}, which the volume ${volume.id} needs`,
    {
      hint: HAS_DRIVER[driverOf(volume)],
    },
  )
