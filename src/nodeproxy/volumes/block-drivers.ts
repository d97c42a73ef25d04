import { ShadowError } from '../../lib/errors.ts'
import type { VolumeId } from '../../model/names.ts'
import { driverOf, type VolumeDriver } from '../../model/task.ts'
import type { BlockDriver, Device } from './block-driver.ts'

/** A volume, as its task definition names it. */
export type VolumeRef = { readonly id: VolumeId; readonly driver?: VolumeDriver | undefined }

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

  /** Whether leases of the volume expire, since its storage does not keep a second holder out. */
  expires(volume: VolumeRef): boolean {
    return this.#drivers[driverOf(volume)]?.excludes === false
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

  /** See `BlockDriver.file`; a volume that was not used here yet counts as one of the usual driver. */
  file(volume: VolumeId): string | undefined {
    return (this.#last.get(volume) ?? this.#drivers.loop)?.file?.(volume)
  }

  /** The file that has the volume's bytes, where it is on a disk of this machine. */
  localFile(volume: VolumeId): string | undefined {
    const driver = this.#last.get(volume) ?? this.#drivers.loop
    return driver?.excludes ? driver.file?.(volume) : undefined
  }
}

const hasNoDriver = (volume: VolumeRef): ShadowError =>
  new ShadowError(
    'no-node',
    `this node has no volume driver ${driverOf(volume)}, which the volume ${volume.id} needs`,
    {
      hint: 'set SHADOW_POOL on a node, to a folder on storage that all nodes of the pool see',
    },
  )
