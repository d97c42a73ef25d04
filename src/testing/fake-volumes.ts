import { ShadowError } from '../lib/errors.ts'
import type { VolumeId } from '../model/names.ts'
import type { Filesystem } from '../nodeproxy/filesystem/filesystem.ts'
import type { BlockDriver, Device, Format } from '../nodeproxy/volumes/block-driver.ts'
import { BlockDrivers } from '../nodeproxy/volumes/block-drivers.ts'

/** A block driver and a filesystem in memory. They record an error when a mounted disk is detached, or a used one unmounted. */
export class FakeVolumes implements BlockDriver, Filesystem {
  readonly excludes: boolean
  /** This driver as the only one of a node. */
  readonly drivers = new BlockDrivers({ loop: this })
  readonly calls: string[] = []
  /** The volumes that exist, with their size in bytes. */
  readonly made = new Map<VolumeId, number>()
  /** The epoch of the lease under which each volume was made. */
  readonly epochs = new Map<VolumeId, number | undefined>()
  readonly filled = new Set<VolumeId>()
  readonly devices = new Map<VolumeId, Device>()
  readonly mountedNow = new Set<VolumeId>()
  /** Errors by method: a call of the method throws its error until the test removes it. */
  readonly failures = new Map<string, unknown>()
  readonly wrongs: string[] = []
  /** Whether something uses the mount: the test sets it. */
  inUse: (volume: VolumeId) => boolean = () => false

  constructor({ excludes = true } = {}) {
    this.excludes = excludes
  }

  async create(
    volume: VolumeId,
    sizeBytes: number,
    format: Format,
    _signal?: AbortSignal,
    epoch?: number,
  ): Promise<void> {
    if (this.made.has(volume)) return
    this.epochs.set(volume, epoch)
    await format(`/images/${volume}`)
    this.made.set(volume, sizeBytes)
  }

  async grow(volume: VolumeId, sizeBytes: number): Promise<void> {
    const bytes = this.made.get(volume)
    if (bytes === undefined) throw new ShadowError('not-found', `no volume ${volume}`)
    if (sizeBytes < bytes) throw new ShadowError('bad-input', `volume ${volume} cannot shrink`)
    this.made.set(volume, sizeBytes)
  }

  async attach(volume: VolumeId): Promise<Device> {
    this.#call('attach', volume)
    if (!this.made.has(volume)) throw new ShadowError('not-found', `no volume ${volume}`)
    const device = `/dev/fake-${volume}` as Device
    this.devices.set(volume, device)
    return device
  }

  async detach(volume: VolumeId): Promise<void> {
    if (this.mountedNow.has(volume)) this.wrongs.push(`${volume} was detached while mounted`)
    this.#call('detach', volume)
    this.devices.delete(volume)
  }

  async remove(volume: VolumeId): Promise<void> {
    this.#call('remove', volume)
    if (this.devices.has(volume)) throw new ShadowError('volume-in-use', `volume ${volume} is attached`)
    this.made.delete(volume)
  }

  async attached(): Promise<readonly { volume: VolumeId; device: Device }[]> {
    return [...this.devices].map(([volume, device]) => ({ volume, device }))
  }

  file(volume: VolumeId): string {
    return `/images/${volume}`
  }

  async make(): Promise<void> {}

  async check(volume: VolumeId): Promise<void> {
    this.#call('check', volume)
  }

  at(volume: VolumeId): string {
    return `/mnt/${volume}`
  }

  async prepare(): Promise<void> {}

  async mount(volume: VolumeId): Promise<void> {
    this.#call('mount', volume)
    this.mountedNow.add(volume)
  }

  async fill(volume: VolumeId, _device: Device, put: (at: string) => Promise<void>): Promise<void> {
    if (!this.mountedNow.has(volume)) this.wrongs.push(`${volume} was filled while not mounted`)
    if (this.filled.has(volume)) return
    await put(this.at(volume))
    this.filled.add(volume)
  }

  async frozen<T>(volume: VolumeId, task: () => Promise<T>): Promise<T> {
    if (!this.mountedNow.has(volume)) this.wrongs.push(`${volume} was frozen while not mounted`)
    return task()
  }

  async unmount(volume: VolumeId): Promise<void> {
    if (this.inUse(volume)) this.wrongs.push(`${volume} was unmounted while used`)
    this.#call('unmount', volume)
    this.mountedNow.delete(volume)
  }

  async use(): Promise<undefined> {}

  async uses(): Promise<readonly never[]> {
    return []
  }

  async mounted(): Promise<readonly VolumeId[]> {
    return [...this.mountedNow]
  }

  #call(method: string, volume: VolumeId): void {
    this.calls.push(`${method} ${volume}`)
    if (this.failures.has(method)) throw this.failures.get(method)
  }
}
