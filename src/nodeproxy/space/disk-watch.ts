import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Exec } from '../../lib/exec.ts'
import type { Log } from '../../lib/log.ts'
import { repeat } from '../../lib/repeat.ts'
import { type InstanceId, logFields } from '../../model/instance-id.ts'
import type { VolumeId } from '../../model/names.ts'
import { sayBytes, size, toBytes } from '../../model/quantities.ts'
import { TASK_DEFAULTS, type TaskDefinition } from '../../model/task.ts'
import type { Layer } from '../runtime/runtime.ts'
import { Growth } from './growth.ts'
import { bytesOf, deletedBytesOf } from './measure.ts'

type Watched = {
  readonly id: InstanceId
  readonly task: TaskDefinition
  /** The volume that it may have attached. */
  readonly volume: VolumeId | undefined
  /** Ends the instance at once, for this reason. */
  exceed(problem: ShadowError): Promise<void>
}

type Options = {
  /** What containers that run have written outside of their volumes. */
  readonly layers: () => Promise<readonly Layer[]>
  /** The instances that are awake, or being woken. */
  readonly running: () => readonly Watched[]
  /** The file that has the volume on this machine's disk; undefined if the volume has none. */
  readonly image: (volume: VolumeId) => string | undefined
  readonly data: string
  /** Bytes that are free on the filesystem of a folder. */
  readonly free: (folder: string) => Promise<number>
  /** So much of a disk is kept free. */
  readonly floorBytes: number
  readonly exec: Exec
  readonly clock: Clock
  readonly log: Log
}

const MIB = 2 ** 20
const SWEEP_EVERY_MS = 200
const MEASURE_EVERY_MS = 60_000
/** The next measurement waits for so many times as the last one took, at most for `LONGEST_WAIT_MS`. */
const COST = 5
const LONGEST_WAIT_MS = 10_000
const STEP = { most: 64 * MIB, least: MIB }

/**
 * Holds apps to their disk limit where the filesystem cannot (project quotas), and keeps a floor of free space. Measuring what
 * containers wrote means walking through their folders. So that is done once a minute, and when statfs, called five times a
 * second, shows that the disk has filled by enough to matter.
 */
export class DiskWatch implements Disposable {
  readonly #options: Options
  readonly #used = new Map<InstanceId, number>()
  readonly #growth = new Growth()
  readonly #free = new Map<string, number>()
  #written = 0
  #notBefore = 0
  #measuredAt = Number.NEGATIVE_INFINITY
  #root: string | undefined
  #sweeps: Disposable | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Sweeps again and again, until it is disposed of. */
  start(): void {
    const { clock, log } = this.#options
    this.#sweeps = repeat(
      clock,
      SWEEP_EVERY_MS,
      () => this.sweep(),
      cause => log.debug('disk not measured', { cause }),
    )
  }

  /** Bytes that the instance has written outside of its volume, as last measured; undefined where it does not run. */
  usedBy(instance: InstanceId): number | undefined {
    return this.#used.get(instance)
  }

  /** One sweep: ends the apps that have written too much. */
  async sweep(): Promise<void> {
    const { clock, floorBytes } = this.#options
    const isFirst = this.#measuredAt === Number.NEGATIVE_INFINITY
    const running = this.#options.running()
    if (running.length === 0) {
      for (const one of [this.#used, this.#growth, this.#free]) one.clear()
      // What is woken next has written nothing yet, so the wake is left alone with its processor.
      this.#measuredAt = clock.now()
      return
    }
    await this.#meet(running)
    const lowest = await this.#measureFree()
    const now = clock.now()
    const isLow = lowest < floorBytes
    const isDue = now - this.#measuredAt >= MEASURE_EVERY_MS
    if (!isDue && !isLow && this.#written < this.#step(running)) return
    if (now < this.#notBefore) return
    await this.#measure(running)
    // What ran before this daemon did has not just written all that its container holds.
    if (isFirst) this.#growth.settle()
    const took = clock.now() - now
    this.#measuredAt = now
    this.#notBefore = clock.now() + Math.min(LONGEST_WAIT_MS, COST * took)
    await this.#endWorst(this.#options.running(), isLow ? lowest : undefined)
  }

  [Symbol.dispose](): void {
    this.#sweeps?.[Symbol.dispose]()
  }

  /** How much is free on the fullest of our disks; counts what was written since the last measurement. */
  async #measureFree(): Promise<number> {
    let lowest = Number.POSITIVE_INFINITY
    for (const folder of new Set([this.#root ?? this.#options.data, this.#options.data])) {
      const free = await this.#options.free(folder).catch(() => undefined) // Docker may keep it elsewhere since
      if (free === undefined) continue
      this.#written += Math.max(0, (this.#free.get(folder) ?? free) - free)
      this.#free.set(folder, free)
      lowest = Math.min(lowest, free)
    }
    return lowest
  }

  /** The bytes that all instances may write together before one of them can come near its limit. */
  #step(running: readonly Watched[]): number {
    const left = running.map(({ id, task }) => limitOf(task) - (this.#used.get(id) ?? 0))
    return Math.min(STEP.most, Math.max(STEP.least, Math.min(...left) / 4))
  }

  async #measure(running: readonly Watched[]): Promise<void> {
    const { layers, image, exec, clock } = this.#options
    this.#written = 0
    const found = await layers()
    const [layer] = found.flatMap(({ folders }) => folders)
    // `overlay2/ID/diff`, or `volumes/ID/_data`: what is above them outlives the container.
    if (layer !== undefined) this.#root = dirname(dirname(layer))
    const bytes = await bytesOf(
      found.flatMap(({ folders }) => folders),
      exec,
    )
    for (const { id, volume } of running) {
      const mine = found.filter(layer => layer.instance === id)
      const each = await Promise.all(
        mine.map(async ({ pid, folders }) =>
          folders.reduce((sum, folder) => sum + (bytes.get(folder) ?? 0), await deletedBytesOf(pid)),
        ),
      )
      // The limit is for each container: an instance has several while it is switched to a newer release.
      const used = Math.max(0, ...each)
      const onVolume = await imageBytes(volume && image(volume))
      this.#growth.add(id, used + onVolume, clock.now())
      this.#used.set(id, used)
    }
    for (const id of this.#used.keys()) if (!running.some(one => one.id === id)) this.#used.delete(id)
  }

  /** An instance begins with what its volume holds: only what comes on top of that is what it writes. */
  async #meet(running: readonly Watched[]): Promise<void> {
    const { image, clock } = this.#options
    this.#growth.retain(new Set(running.map(({ id }) => id)))
    for (const { id, volume } of running)
      if (!this.#growth.has(id)) this.#growth.add(id, await imageBytes(volume && image(volume)), clock.now())
  }

  async #endWorst(running: readonly Watched[], free: number | undefined): Promise<void> {
    const over = running.filter(({ id, task }) => (this.#used.get(id) ?? 0) > limitOf(task))
    for (const one of over) await this.#end(one, overLimit(one.task, this.#used.get(one.id) ?? 0))
    if (free === undefined || over.length > 0) return
    const grown = (one: Watched): number => this.#growth.of(one.id)
    const [most] = running.filter(one => grown(one) > MIB).toSorted((a, b) => grown(b) - grown(a))
    if (most !== undefined) {
      const problem = underFloor(most.id, grown(most), free, this.#options.floorBytes)
      // The others are not blamed for what they wrote before it was ended.
      this.#growth.settle()
      await this.#end(most, problem)
    } else this.#options.log.warn('the disk is nearly full, and no app has filled it lately', { free: sayBytes(free) })
  }

  async #end(one: Watched, problem: ShadowError): Promise<void> {
    this.#options.log.warn('app ended for what it wrote', { ...logFields(one.id), detail: problem.message })
    await one.exceed(problem)
  }
}

const limitOf = ({ limits }: TaskDefinition): number => toBytes(limits.disk ?? size(TASK_DEFAULTS.disk))

async function imageBytes(path: string | undefined): Promise<number> {
  if (path === undefined) return 0
  return stat(path).then(
    ({ blocks }) => blocks * 512,
    () => 0, // it is not there yet
  )
}

function overLimit(task: TaskDefinition, used: number): ShadowError {
  const limit = sayBytes(limitOf(task))
  return new ShadowError(
    'app-crashed',
    `${task.app} was stopped: it had written ${sayBytes(used)} into its container, of ${limit} that it may`,
    {
      hint: `what must last belongs on a volume; else: shadow update ${task.app} --disk SIZE`,
      facts: { diskBytes: used },
    },
  )
}

const underFloor = (instance: InstanceId, grown: number, free: number, floor: number): ShadowError =>
  new ShadowError(
    'app-crashed',
    `${instance} was stopped: it had just written ${sayBytes(grown)}, and the disk of its machine has ${sayBytes(free)} left, of ${sayBytes(floor)} that are kept free`,
    { hint: 'free space on the disk of the machine (df -h), or lower SHADOW_DISK_FLOOR' },
  )
