import { appOf, type InstanceId } from '../../model/instance-id.ts'
import type { VolumeId } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { InstanceParts } from '../instance-parts.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { pinnedTo } from '../pinned-image.ts'
import { notAsleep } from '../refusals.ts'
import { isSame } from '../revision-choice.ts'
import { notParkable } from '../runtime/parked/not-parkable.ts'
import { volumeOf } from '../teardown.ts'

type Parts = Pick<InstanceParts, 'runtime' | 'filesystem' | 'sources' | 'sockets' | 'mustWake' | 'log'>

type Options = {
  readonly id: InstanceId
  readonly parts: Parts
  readonly life: Pick<Lifecycle, 'state' | 'gone'>
  /** Whether a wake of the instance is under way, or waits for its turn. */
  readonly isWaking: () => boolean
  /** The definition that the next wake runs. */
  readonly next: () => TaskDefinition
  readonly onChange: () => void
}

/** A definition, and the id of the image that it stood for. */
type Made = { readonly task: TaskDefinition; readonly image: string }

const CALLED_OFF = new Error('the app is being woken, or its definition has changed')

/**
 * The container that waits for the next wake of an instance, which is asleep. It is made beside the turns of the instance, so that no request waits for
 * that: a wake that begins meanwhile calls it off, and makes its own container.
 */
export class ParkedContainer {
  readonly #options: Options
  #parking: { readonly abort: AbortController; readonly done: Promise<void> } | undefined
  #isParked = false
  /** What the container that waits was made for. */
  #made: Made | undefined
  /** The same of the container that the last wake took. */
  #taken: Made | undefined
  #failed: (Made & { readonly isRefused: boolean }) | undefined
  /** The volume that may be in a mount of ours. A later definition may name another one, or none. */
  #shared: VolumeId | undefined
  /** Settles when nothing is removed any more. */
  #dropping: Promise<unknown> = Promise.resolve()

  constructor(options: Options) {
    this.#options = options
  }

  get isParked(): boolean {
    return this.#isParked
  }

  /** Whether the app failed when its gate was opened, with the definition and the image that it has now. Then only a person has it parked again. */
  get hasFailed(): boolean {
    if (this.#failed === undefined) return false
    const { task, image } = this.#failed
    const next = this.#options.next()
    return isSame(next, task) && (next.pinned?.id ?? image) === image
  }

  /** Makes the container, or keeps one that does; joins a call that is under way. Fails with `not-parkable`. */
  park(): Promise<void> {
    if (this.#parking !== undefined) return this.#parking.done
    const { id, life, parts, next } = this.#options
    if (life.gone !== undefined) throw life.gone
    if (!this.#isAsleep) throw notAsleep(id)
    parts.mustWake?.(next())
    const abort = new AbortController()
    const parking = { abort, done: this.#park(abort.signal).finally(() => this.#ended(parking)) }
    this.#parking = parking
    return parking.done
  }

  get #isAsleep(): boolean {
    const { life, isWaking } = this.#options
    return life.state.phase === 'asleep' && !isWaking()
  }

  #ended(parking: object): void {
    if (this.#parking === parking) this.#parking = undefined
  }

  async #park(signal: AbortSignal): Promise<void> {
    const { id, parts, next } = this.#options
    const { runtime, filesystem, sources, sockets } = parts
    const given = next()
    const volume = volumeOf(id, given)?.id
    try {
      await this.#dropping
      signal.throwIfAborted()
      const [image] = await Promise.all([
        runtime.ensureImage(given.image, signal, given),
        sources?.ensure(given, signal),
      ])
      signal.throwIfAborted()
      this.#mustNotBeRefused({ task: given, image: image.id })
      sockets?.use(id, this)
      await sockets?.open(id)
      if (volume !== undefined) {
        await filesystem.prepare(volume)
        this.#shared = volume
        await filesystem.share(volume)
      }
      await runtime.park(id, pinnedTo(given, image), volume && filesystem.at(volume), signal)
      signal.throwIfAborted()
      if (!this.#isAsleep || !isSame(next(), given)) throw CALLED_OFF
      this.#made = { task: given, image: image.id }
      this.#failed = undefined
      this.#change(true)
    } catch (error) {
      await this.#undo()
      throw error
    }
  }

  #mustNotBeRefused({ task, image }: Made): void {
    const failed = this.#failed
    if (!failed?.isRefused || !isSame(failed.task, task) || failed.image !== image) return
    throw notParkable(task.app, 'the kernel cannot run its program as it is: the file is not executable, or no program')
  }

  /** The gate of the container that the wake under way had taken stays shut. */
  gateStayedShut(isRefused: boolean): void {
    if (isRefused && this.#taken !== undefined) this.#failed = { ...this.#taken, isRefused }
    this.#taken = undefined
  }

  /** The wake under way has failed by the app's own fault. */
  failed(): void {
    if (this.#taken !== undefined) this.#failed = { ...this.#taken, isRefused: false }
  }

  /** A wake has begun, whose undo uses the folder of the socket from now on. It takes the container, if that does. */
  taken(undo: object): void {
    this.#parking?.abort.abort(CALLED_OFF)
    this.#taken = this.#isParked ? this.#made : undefined
    if (!this.#isParked) return
    const { id, parts } = this.#options
    parts.sockets?.use(id, undo, this)
    this.#change(false)
  }

  /** Removes the container, one that is being made too, and leaves the volume in no mount of ours unless it is mounted; none is success. */
  drop(): Promise<void> {
    const parking = this.#parking
    parking?.abort.abort(CALLED_OFF)
    const wasParked = this.#isParked
    if (wasParked) this.#change(false)
    const dropped = this.#drop(parking?.done, wasParked)
    // What is parked next must not be undone by this.
    this.#dropping = Promise.allSettled([this.#dropping, dropped])
    return dropped
  }

  async #drop(parking: Promise<void> | undefined, wasParked: boolean): Promise<void> {
    await parking?.catch(() => undefined) // it has undone what it did
    await (wasParked ? this.#undo() : this.#unshare())
  }

  /** The same, for callers that do not wait for it. */
  leave(): void {
    const { id, parts } = this.#options
    if (!this.#isParked && this.#parking === undefined) return
    this.drop().catch(cause => parts.log.warn('app not unparked', { app: appOf(id), cause }))
  }

  /** Looks whether the container still waits. */
  check(): void {
    if (this.#isParked && !this.#options.parts.runtime.isParked(this.#options.id)) this.leave()
  }

  async #undo(): Promise<void> {
    const { id, parts } = this.#options
    this.#change(false)
    await parts.runtime.unpark(id)
    await this.#unshare()
    await parts.sockets?.close(id, this)
  }

  async #unshare(): Promise<void> {
    const { id, parts, next } = this.#options
    // An earlier run of the node may have shared it, and left the app awake.
    const volume = this.#shared ?? volumeOf(id, next())?.id
    if (volume !== undefined) await parts.filesystem.unshare(volume)
  }

  #change(isParked: boolean): void {
    if (this.#isParked === isParked) return
    this.#isParked = isParked
    this.#options.onChange()
  }
}
