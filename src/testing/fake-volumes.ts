import { ShadowError } from '../lib/errors.ts'
import type { SnapshotId, VolumeId } from '../model/names.ts'
import type { Filesystem } from '../nodeproxy/filesystem/filesystem.ts'
import type { BlockDriver, Creation, Device, Format } from '../nodeproxy/volumes/block-driver.ts'
import { BlockDrivers } from '../nodeproxy/volumes/block-drivers.ts'
import { noSuchSnapshot, type SnapshotRef, type Snapshots } from '../nodeproxy/volumes/snapshots.ts'

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
  /** The snapshots of each volume, with the size that it had. */
  readonly taken = new Map<VolumeId, Map<SnapshotId, number>>()
  readonly devices = new Map<VolumeId, Device>()
  readonly mountedNow = new Set<VolumeId>()
  readonly frozenNow = new Set<VolumeId>()
  /** The signal of what is done while a volume is frozen: a test aborts it when the time is over. */
  frozenSignal = new AbortController().signal
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
    { epoch, from }: Creation = {},
  ): Promise<void> {
    if (this.made.has(volume)) return
    this.epochs.set(volume, epoch)
    if (from === undefined) await format(`/images/${volume}`)
    this.made.set(volume, Math.max(sizeBytes, from === undefined ? 0 : this.#sizeOf(from)))
  }

  /** Whether the filesystem may be grown while it is mounted. */
  mayGrowMounted = true

  async growMounted(volume: VolumeId): Promise<boolean> {
    if (!this.mountedNow.has(volume)) this.wrongs.push(`the filesystem of ${volume} was grown while not mounted`)
    return this.mayGrowMounted
  }

  async grow(volume: VolumeId, sizeBytes: number): Promise<void> {
    const bytes = this.made.get(volume)
    if (bytes === undefined) throw new ShadowError('not-found', `no volume ${volume}`)
    if (sizeBytes > bytes && this.failures.has('grow')) throw this.failures.get('grow')
    if (sizeBytes < bytes) throw new ShadowError('bad-input', `volume ${volume} cannot shrink`)
    this.made.set(volume, sizeBytes)
  }

  growAttached? = async (volume: VolumeId, sizeBytes: number): Promise<Device> => {
    this.#call('growAttached', volume)
    await this.grow(volume, sizeBytes)
    return this.attach(volume)
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

  readonly snapshots: Snapshots = {
    take: async ({ volume, id }) => {
      this.#call('snapshot', volume)
      const bytes = this.made.get(volume)
      const taken = this.taken.get(volume) ?? new Map<SnapshotId, number>()
      if (taken.has(id)) return
      if (bytes === undefined) throw new ShadowError('not-found', `no volume ${volume}`)
      this.taken.set(volume, taken.set(id, bytes))
    },
    finish: async snapshot => void this.#sizeOf(snapshot),
    of: async volume => [...(this.taken.get(volume)?.keys() ?? [])],
    remove: async ({ volume, id }) => void this.taken.get(volume)?.delete(id),
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

  /** The volumes whose mounts reach containers that began before. */
  readonly shared = new Set<VolumeId>()

  async share(volume: VolumeId): Promise<void> {
    if (this.mountedNow.has(volume)) this.wrongs.push(`${volume} was shared while mounted`)
    this.shared.add(volume)
  }

  async unshare(volume: VolumeId): Promise<void> {
    if (!this.mountedNow.has(volume)) this.shared.delete(volume)
  }

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

  async frozen<T>(volume: VolumeId, _withinMs: number, task: (signal: AbortSignal) => Promise<T>) {
    if (!this.mountedNow.has(volume)) this.wrongs.push(`${volume} was frozen while not mounted`)
    this.#call('freeze', volume)
    this.frozenNow.add(volume)
    try {
      return { value: await task(this.frozenSignal), ms: 1 }
    } finally {
      this.frozenNow.delete(volume)
    }
  }

  /** The volumes whose writes were brought to the disk. */
  readonly synced: VolumeId[] = []

  async sync(volume: VolumeId): Promise<void> {
    this.synced.push(volume)
  }

  async thaw(): Promise<void> {
    this.frozenNow.clear()
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

  #sizeOf(snapshot: SnapshotRef): number {
    const bytes = this.taken.get(snapshot.volume)?.get(snapshot.id)
    if (bytes === undefined) throw noSuchSnapshot(snapshot)
    return bytes
  }

  #call(method: string, volume: VolumeId): void {
    this.calls.push(`${method} ${volume}`)
    if (this.failures.has(method)) throw this.failures.get(method)
  }
}
