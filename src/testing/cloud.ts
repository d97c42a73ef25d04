import type { Clock } from '../lib/clock.ts'
import { Ec2Error, type Ec2Failure, type InstanceState } from '../lib/ec2/failures.ts'
import type { Disk, DiskFilter, DiskSnapshot, EbsApi, Growth, NewDisk } from '../nodeproxy/volumes/ebs-api.ts'

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type CloudDisk = Omit<Writable<Disk>, 'attachment' | 'tags'> & {
  tags: Record<string, string>
  attachment?: Writable<NonNullable<Disk['attachment']>> | undefined
  growth?: Writable<Growth> | undefined
}
type CloudSnapshot = Writable<DiskSnapshot>
type Instance = {
  readonly zone: string
  readonly slots: number
  state: InstanceState
  /** Names that its operating system has in use, which EC2 does not know of. */
  readonly takenNames: Set<string>
}
type State = {
  readonly disks: ReadonlyMap<string, CloudDisk>
  readonly instances: ReadonlyMap<string, Instance>
  readonly snapshots: ReadonlyMap<string, CloudSnapshot>
}

/** What happens on the machine when a disk comes, goes or grows. */
export type DiskHooks = {
  readonly onAttached?: (disk: string, instance: string) => Promise<void> | void
  readonly onDetached?: (disk: string, instance: string) => Promise<void> | void
  readonly onGrown?: (disk: string, sizeGiB: number) => Promise<void> | void
  readonly onDeleted?: (disk: string) => Promise<void> | void
  /** The bytes of this moment are those of the snapshot. */
  readonly onSnapshot?: (snapshot: string, disk: string) => void
  readonly onMadeFrom?: (disk: string, snapshot: string) => Promise<void> | void
}

type Options = DiskHooks & {
  readonly clock: Clock
  /** How long each transition takes: creating, attaching, detaching, modifying, deleting. */
  readonly transitionMs?: number
  /** How far lists lag behind. */
  readonly lagMs?: number
}

/**
 * EC2's disks in memory, as strict as the real ones: zones, a single attachment, slots, device names, transitions that take seconds, lists
 * that lag behind, and faults that a test plants. All that a real cloud only documents, and an emulator leaves out.
 */
export class Cloud implements EbsApi {
  readonly #disks = new Map<string, CloudDisk>()
  readonly #snapshots = new Map<string, CloudSnapshot>()
  readonly #instances = new Map<string, Instance>()
  readonly #tokens = new Map<string, { readonly id: string; readonly asked: string }>()
  readonly #history: { readonly at: number; readonly state: State }[] = []
  readonly #faults: { call: keyof EbsApi; failure: Ec2Failure; isCarriedOut: boolean }[] = []
  readonly #options: Options
  #last = 0
  /** The calls so far, such as `attach vol-1 i-1`. */
  readonly calls: string[] = []
  /** What no driver may do: these were refused or, where EC2 would obey, noted. */
  readonly wrongs: string[] = []
  /** Zones without capacity. */
  readonly fullZones = new Set<string>()
  /** Disks whose attachment never comes about. */
  readonly neverAttach = new Set<string>()
  /** Disks whose snapshots end in `error`. */
  readonly neverSnapshot = new Set<string>()

  constructor(options: Options) {
    this.#options = options
  }

  /** Starts an instance; its name is its id. */
  start(name: string, zone: string, { slots = 28, takenNames = [] as readonly string[] } = {}): void {
    this.#instances.set(name, { zone, slots, state: 'running', takenNames: new Set(takenNames) })
    this.#note()
  }

  /** Stops or terminates an instance. A stopped one keeps its disks; so does a terminated one here, which EC2 may let go of late. */
  end(name: string, state: 'stopped' | 'terminated'): void {
    this.#instance(name).state = state
    this.#note()
  }

  /** The next such call fails. `isCarriedOut`: it is carried out, and the answer is lost. */
  failNext(call: keyof EbsApi, failure: Ec2Failure, { isCarriedOut = false } = {}): void {
    this.#faults.push({ call, failure, isCarriedOut })
  }

  /** A disk that somebody else made. */
  addForeign(disk: Pick<Disk, 'zone'> & Partial<Disk>): string {
    const id = disk.id ?? this.#nextId()
    this.#disks.set(id, { sizeGiB: 8, state: 'available', ...disk, id, tags: { ...disk.tags } })
    this.#note()
    return id
  }

  /** All disks as they are, without lag. */
  get all(): readonly CloudDisk[] {
    return [...this.#disks.values()]
  }

  /** A snapshot that somebody else took. */
  addForeignSnapshot(tags: Readonly<Record<string, string>>): void {
    const id = this.#nextId('snap')
    this.#snapshots.set(id, { id, sizeGiB: 8, state: 'completed', orderedAt: 0, tags: { ...tags } })
    this.#note()
  }

  /** All snapshots as they are, without lag. */
  get allSnapshots(): readonly DiskSnapshot[] {
    return [...this.#snapshots.values()]
  }

  create({ token, zone, sizeGiB, snapshot, tags }: NewDisk): Promise<Disk> {
    return this.#call('create', zone, () => {
      const asked = JSON.stringify([zone, sizeGiB, snapshot])
      const before = this.#tokens.get(token)
      if (before !== undefined && before.asked !== asked) throw new Ec2Error('token-used', 'another request had it')
      const there = before && this.#disks.get(before.id)
      if (there !== undefined) return copyOf(there)
      // EC2 remembers the token of a disk that was deleted since, and answers as it did the first time.
      if (before !== undefined) return { id: before.id, zone, sizeGiB, state: 'creating', tags: { ...tags } }
      if (this.fullZones.has(zone)) throw new Ec2Error('no-capacity', `InsufficientVolumeCapacity: ${zone}`)
      const source = snapshot === undefined ? undefined : this.#snapshot(snapshot)
      if (source !== undefined && source.state !== 'completed')
        throw new Ec2Error('wrong-state', `IncorrectState: ${snapshot} is ${source.state}`)
      if (source !== undefined && source.sizeGiB > sizeGiB)
        throw new Ec2Error('refused', `InvalidParameterValue: ${sizeGiB} GiB is smaller than ${snapshot}`)
      const id = this.#nextId()
      const disk: CloudDisk = { id, zone, sizeGiB, state: 'creating', tags: { ...tags } }
      this.#disks.set(id, disk)
      this.#tokens.set(token, { id, asked })
      this.#later(async () => {
        if (source !== undefined) await this.#options.onMadeFrom?.(id, source.id)
        disk.state = 'available'
      })
      return copyOf(disk)
    })
  }

  disks({ id, attachedTo, tags = {} }: DiskFilter): Promise<readonly Disk[]> {
    return this.#call('disks', '', () =>
      [...this.#seen().disks.values()]
        .filter(disk => id === undefined || disk.id === id)
        .filter(disk => attachedTo === undefined || disk.attachment?.instance === attachedTo)
        .filter(disk => Object.entries(tags).every(([key, value]) => disk.tags[key] === value))
        .map(copyOf),
    )
  }

  attach(id: string, instanceId: string, deviceName: string): Promise<void> {
    return this.#call('attach', `${id} ${instanceId}`, () => {
      const disk = this.#disk(id)
      const instance = this.#instance(instanceId)
      if (disk.attachment !== undefined || disk.state !== 'available')
        throw new Ec2Error('wrong-state', `${id} is ${disk.attachment?.state ?? disk.state}`)
      if (disk.zone !== instance.zone) throw new Ec2Error('other-zone', `${id} is in ${disk.zone}`)
      if (instance.state !== 'running') throw new Ec2Error('wrong-state', `${instanceId} is ${instance.state}`)
      const here = this.all.filter(({ attachment }) => attachment?.instance === instanceId)
      if (here.length >= instance.slots) throw new Ec2Error('no-slot', `${instanceId} has ${here.length} disks`)
      if (here.some(({ attachment }) => attachment?.deviceName === deviceName))
        throw new Ec2Error('device-name-taken', `${deviceName} is already in use`)
      if (!('shadow:cluster' in disk.tags)) this.wrongs.push(`${id} is not ours and was attached`)
      disk.state = 'in-use'
      const attachment = { instance: instanceId, deviceName, state: 'attaching' as const }
      disk.attachment = attachment
      if (this.neverAttach.has(id) || instance.takenNames.has(deviceName)) return
      this.#later(async () => {
        if (disk.attachment !== attachment) return // it was detached meanwhile
        await this.#options.onAttached?.(id, instanceId)
        disk.attachment.state = 'attached'
      })
    })
  }

  detach(id: string, instanceId: string, { force }: { readonly force: boolean }): Promise<void> {
    return this.#call('detach', `${id} ${instanceId}${force ? ' by force' : ''}`, () => {
      const disk = this.#disk(id)
      const { attachment } = disk
      if (attachment === undefined || attachment.instance !== instanceId)
        throw new Ec2Error('wrong-state', `${id} is not attached to ${instanceId}`)
      const { state } = this.#instance(instanceId)
      if (force && state !== 'terminated') this.wrongs.push(`${id} was taken from ${instanceId}, which is ${state}`)
      if (!('shadow:cluster' in disk.tags)) this.wrongs.push(`${id} is not ours and was detached`)
      if (attachment.state === 'detaching') return
      const wasAttached = attachment.state === 'attached'
      attachment.state = 'detaching'
      this.#later(async () => {
        if (wasAttached) await this.#options.onDetached?.(id, instanceId)
        disk.attachment = undefined
        disk.state = 'available'
      })
    })
  }

  grow(id: string, toGiB: number): Promise<void> {
    return this.#call('grow', `${id} ${toGiB}`, () => {
      const disk = this.#disk(id)
      if (disk.growth?.state === 'modifying') throw new Ec2Error('wrong-state', `${id} is modifying`)
      if (disk.growth !== undefined) throw new Ec2Error('grown-lately', 'VolumeModificationRateExceeded')
      const growth: CloudDisk['growth'] = { state: 'modifying', toGiB }
      disk.growth = growth
      this.#later(async () => {
        await this.#options.onGrown?.(id, toGiB)
        growth.state = 'optimizing'
        disk.sizeGiB = toGiB
      })
    })
  }

  growth(id: string): Promise<Growth | undefined> {
    return this.#call('growth', id, () => {
      const growth = this.#seen().disks.get(id)?.growth
      return growth && { ...growth }
    })
  }

  tag(id: string, tags: Readonly<Record<string, string>>): Promise<void> {
    return this.#call('tag', id, () => {
      Object.assign(this.#disk(id).tags, tags)
    })
  }

  delete(id: string): Promise<void> {
    return this.#call('delete', id, () => {
      const disk = this.#disk(id)
      if (disk.attachment !== undefined) throw new Ec2Error('wrong-state', `${id} is attached`)
      if (!('shadow:cluster' in disk.tags)) this.wrongs.push(`${id} is not ours and was deleted`)
      disk.state = 'deleting'
      this.#later(async () => {
        await this.#options.onDeleted?.(id)
        this.#disks.delete(id)
      })
    })
  }

  snapshot(disk: string, tags: Readonly<Record<string, string>>): Promise<DiskSnapshot> {
    return this.#call('snapshot', disk, () => {
      const { sizeGiB } = this.#disk(disk)
      const id = this.#nextId('snap')
      const orderedAt = this.#options.clock.now()
      const made: CloudSnapshot = { id, sizeGiB, state: 'pending', orderedAt, tags: { ...tags } }
      this.#snapshots.set(id, made)
      this.#options.onSnapshot?.(id, disk)
      this.#later(() => {
        made.state = this.neverSnapshot.has(disk) ? 'error' : 'completed'
      })
      return { ...made }
    })
  }

  snapshots(tags: Readonly<Record<string, string>>): Promise<readonly DiskSnapshot[]> {
    return this.#call('snapshots', '', () =>
      [...this.#seen().snapshots.values()].filter(made =>
        Object.entries(tags).every(([key, value]) => made.tags[key] === value),
      ),
    )
  }

  deleteSnapshot(id: string): Promise<void> {
    return this.#call('deleteSnapshot', id, () => {
      if (!('shadow:cluster' in this.#snapshot(id).tags)) this.wrongs.push(`${id} is not ours and was deleted`)
      this.#snapshots.delete(id)
    })
  }

  instanceState(name: string): Promise<InstanceState | undefined> {
    return this.#call('instanceState', name, () => this.#seen().instances.get(name)?.state)
  }

  async #call<T>(call: keyof EbsApi, what: string, work: () => T): Promise<T> {
    if (call !== 'disks' && call !== 'growth' && call !== 'snapshots') this.calls.push(`${call} ${what}`)
    const index = this.#faults.findIndex(fault => fault.call === call)
    const [fault] = index < 0 ? [] : this.#faults.splice(index, 1)
    if (fault !== undefined && !fault.isCarriedOut) throw new Ec2Error(fault.failure, `planted in ${call}`)
    const result = work()
    this.#note()
    if (fault !== undefined) throw new Ec2Error(fault.failure, `planted in ${call}`)
    return result
  }

  #later(change: () => Promise<void> | void): void {
    this.#options.clock.after(this.#options.transitionMs ?? 2_000, async () => {
      await change()
      this.#note()
    })
  }

  /** Keeps how things are now, for lists that lag behind. */
  #note(): void {
    const { clock, lagMs = 0 } = this.#options
    const disks = new Map([...this.#disks].map(([id, disk]) => [id, copyOf(disk)]))
    const instances = new Map([...this.#instances].map(([id, instance]) => [id, { ...instance }]))
    const snapshots = new Map([...this.#snapshots].map(([id, made]) => [id, { ...made }]))
    this.#history.push({ at: clock.now(), state: { disks, instances, snapshots } })
    while ((this.#history[1]?.at ?? Number.POSITIVE_INFINITY) <= clock.now() - lagMs) this.#history.shift()
  }

  #seen(): State {
    const { clock, lagMs = 0 } = this.#options
    const seen = this.#history.findLast(({ at }) => at <= clock.now() - lagMs)
    return seen?.state ?? { disks: new Map(), instances: new Map(), snapshots: new Map() }
  }

  #disk(id: string): CloudDisk {
    const disk = this.#disks.get(id)
    if (disk === undefined || disk.state === 'deleting') throw new Ec2Error('not-found', `no disk ${id}`)
    return disk
  }

  #snapshot(id: string): CloudSnapshot {
    const made = this.#snapshots.get(id)
    if (made === undefined) throw new Ec2Error('not-found', `no snapshot ${id}`)
    return made
  }

  #instance(name: string): Instance {
    const instance = this.#instances.get(name)
    if (instance === undefined) throw new Ec2Error('not-found', `no instance ${name}`)
    return instance
  }

  #nextId(kind = 'vol'): string {
    this.#last += 1
    return `${kind}-${this.#last.toString(16).padStart(17, '0')}`
  }
}

const copyOf = (disk: CloudDisk): CloudDisk => ({
  ...disk,
  tags: { ...disk.tags },
  attachment: disk.attachment && { ...disk.attachment },
  growth: disk.growth && { ...disk.growth },
})
