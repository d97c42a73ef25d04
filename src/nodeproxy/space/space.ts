import type { Clock } from '../../lib/clock.ts'
import type { Exec } from '../../lib/exec.ts'
import type { Log } from '../../lib/log.ts'
import type { InstanceView, VolumeUse } from '../../model/instance.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import type { VolumeId } from '../../model/names.ts'
import type { Filesystem } from '../filesystem/filesystem.ts'
import type { Instance } from '../instance.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { BlockDrivers } from '../volumes/block-drivers.ts'
import { DiskWatch } from './disk-watch.ts'
import { freeAt } from './measure.ts'
import { VolumeUses } from './volume-uses.ts'

type Options = {
  readonly instances: () => readonly Instance[]
  readonly runtime: Runtime
  readonly volumes: BlockDrivers
  readonly filesystem: Filesystem
  readonly journal: (instance: InstanceId, line: string) => void
  readonly data: string
  readonly floorBytes: number
  readonly exec: Exec
  readonly clock: Clock
  readonly log: Log
}

/** The disk of this machine and what its apps take of it: limits of what they write, and how full their volumes are. */
export class Space implements Disposable {
  readonly #options: Options
  readonly #disk: DiskWatch
  readonly #volumes: VolumeUses

  constructor(options: Options) {
    const { instances, runtime, volumes, filesystem, journal, data, floorBytes, exec, clock, log } = options
    this.#options = options
    const inPhase =
      (...phases: readonly Instance['phase'][]) =>
      () =>
        instances().filter(({ phase }) => phases.includes(phase))
    this.#disk = new DiskWatch({
      layers: () => runtime.layers(),
      running: inPhase('waking', 'awake', 'frozen', 'suspended'),
      image: volume => volumes.localFile(volume),
      data,
      free: freeAt,
      floorBytes,
      exec,
      clock,
      log,
    })
    this.#volumes = new VolumeUses({
      use: volume => filesystem.use(volume),
      running: inPhase('awake', 'frozen', 'suspended'),
      journal,
      clock,
      log,
    })
  }

  start(): void {
    this.#disk.start()
    this.#volumes.start()
  }

  /** The instance with what it takes of the disk. */
  async viewOf(instance: Instance): Promise<InstanceView> {
    const { id, volume } = instance
    const use = volume && (await this.#volumes.measure(id, volume).catch(() => undefined))
    const view = instance.view()
    const diskBytes = this.#disk.usedBy(id)
    return { ...view, ...(use && { volume: use }), ...(diskBytes !== undefined && { diskBytes }) }
  }

  /** How full a volume was at the last check. */
  useOf(volume: VolumeId): VolumeUse | undefined {
    return this.#volumes.knownOf(volume)
  }

  /** All volumes that are here. */
  volumes(): ReturnType<Filesystem['uses']> {
    return this.#options.filesystem.uses()
  }

  /** How full the volumes are that were awake lately. */
  get uses(): readonly VolumeUse[] {
    return this.#volumes.all
  }

  [Symbol.dispose](): void {
    this.#disk[Symbol.dispose]()
    this.#volumes[Symbol.dispose]()
  }
}
