import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { repeat } from '../../lib/repeat.ts'
import type { VolumeUse } from '../../model/instance.ts'
import { type InstanceId, logFields } from '../../model/instance-id.ts'
import type { VolumeId } from '../../model/names.ts'
import { sayBytes } from '../../model/quantities.ts'

/** From here on a volume counts as nearly full, and a warning is given; below `CLEAR_AT` it can be given again. */
export const NEARLY_FULL = 0.9
const CLEAR_AT = 0.85
const SWEEP_EVERY_MS = 30_000

type Options = {
  readonly use: (volume: VolumeId) => Promise<VolumeUse | undefined>
  /** The instances that are awake. */
  readonly running: () => readonly { readonly id: InstanceId; readonly volume: VolumeId | undefined }[]
  /** Writes a line into the instance's own log. */
  readonly journal: (instance: InstanceId, line: string) => void
  readonly clock: Clock
  readonly log: Log
}

/** How full the volumes of this node are, as last measured; warns of those that are nearly full. */
export class VolumeUses implements Disposable {
  readonly #options: Options
  readonly #known = new Map<VolumeId, VolumeUse>()
  readonly #warned = new Set<VolumeId>()
  #sweeps: Disposable | undefined

  constructor(options: Options) {
    this.#options = options
  }

  start(): void {
    const { clock, log } = this.#options
    this.#sweeps = repeat(
      clock,
      SWEEP_EVERY_MS,
      () => this.sweep(),
      cause => log.debug('volumes not measured', { cause }),
    )
  }

  get all(): readonly VolumeUse[] {
    return [...this.#known.values()]
  }

  knownOf(volume: VolumeId): VolumeUse | undefined {
    return this.#known.get(volume)
  }

  async sweep(): Promise<void> {
    for (const { id, volume } of this.#options.running()) if (volume !== undefined) await this.measure(id, volume)
  }

  /** Measures the volume now, and warns where it has become nearly full. */
  async measure(instance: InstanceId, volume: VolumeId): Promise<VolumeUse | undefined> {
    const use = await this.#options.use(volume)
    if (use === undefined) {
      this.#known.delete(volume)
      return undefined
    }
    this.#known.set(volume, use)
    const full = use.usedBytes / use.sizeBytes
    if (full < CLEAR_AT) this.#warned.delete(volume)
    if (full < NEARLY_FULL || this.#warned.has(volume)) return use
    this.#warned.add(volume)
    const [used, size] = [sayBytes(use.usedBytes), sayBytes(use.sizeBytes)]
    this.#options.log.warn('volume nearly full', { ...logFields(instance), volume, used, size })
    this.#options.journal(instance, `its volume is ${Math.floor(full * 100)} % full: ${used} of ${size}`)
    return use
  }

  [Symbol.dispose](): void {
    this.#sweeps?.[Symbol.dispose]()
  }
}
