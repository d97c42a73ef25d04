import type { VolumeId } from '../model/names.ts'
import type { Device, Mounts, VolumeDriver } from '../nodeproxy/volumes/volumes.ts'

/** Volumes and mounts in memory that fail a test as soon as their order is wrong: a mounted disk is never detached. */
export class FakeVolumes implements VolumeDriver, Mounts {
  readonly calls: string[] = []
  readonly made = new Set<VolumeId>()
  readonly filled = new Set<VolumeId>()
  readonly devices = new Map<VolumeId, Device>()
  readonly mountedNow = new Set<VolumeId>()
  /** Failures by verb: a call of it throws this until it is taken away. */
  readonly failures = new Map<string, unknown>()
  readonly wrongs: string[] = []
  /** Whether something uses the mount: set by the test's composition. */
  inUse: (volume: VolumeId) => boolean = () => false

  async has(volume: VolumeId): Promise<boolean> {
    return this.made.has(volume)
  }

  async attach(volume: VolumeId): Promise<Device> {
    this.#call('attach', volume)
    this.made.add(volume)
    const device = `/dev/fake-${volume}` as Device
    this.devices.set(volume, device)
    return device
  }

  async check(volume: VolumeId): Promise<void> {
    this.#call('check', volume)
  }

  async detach(volume: VolumeId): Promise<void> {
    if (this.mountedNow.has(volume)) this.wrongs.push(`${volume} was detached while mounted`)
    this.#call('detach', volume)
    this.devices.delete(volume)
  }

  async remove(volume: VolumeId): Promise<void> {
    this.#call('remove', volume)
    this.made.delete(volume)
  }

  async attached(): Promise<readonly { volume: VolumeId; device: Device }[]> {
    return [...this.devices].map(([volume, device]) => ({ volume, device }))
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

  image(volume: VolumeId): string {
    return `/images/${volume}`
  }

  async uses(): Promise<readonly never[]> {
    return []
  }

  async use(): Promise<undefined> {}

  async unmount(volume: VolumeId): Promise<void> {
    if (this.inUse(volume)) this.wrongs.push(`${volume} was unmounted while used`)
    this.#call('unmount', volume)
    this.mountedNow.delete(volume)
  }

  async mounted(): Promise<readonly VolumeId[]> {
    return [...this.mountedNow]
  }

  #call(verb: string, volume: VolumeId): void {
    this.calls.push(`${verb} ${volume}`)
    if (this.failures.has(verb)) throw this.failures.get(verb)
  }
}
