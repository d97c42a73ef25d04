import { deadline, orAborted } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Turns } from '../lib/turns.ts'
import type { WakeStep } from '../model/instance.ts'
import { besideKey, type InstanceId, isPlain, type RunKey } from '../model/instance-id.ts'
import type { AppName } from '../model/names.ts'
import { sayMs, toBytes, toMs } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Companions } from './companions/companions.ts'
import { ExitWatch } from './exit-watch.ts'
import { notReady, onWrongPort } from './not-ready.ts'
import { pinnedTo } from './pinned-image.ts'
import { diedEarly } from './postmortem.ts'
import type { untilReady } from './readiness.ts'
import { hasNoVolume } from './refusals.ts'
import type { Room } from './room.ts'
import type { Running } from './running-container.ts'
import { type Container, GateStaysShut, type ImageFacts } from './runtime/runtime.ts'
import type { Sources } from './sources/sources.ts'
import type { Steps, Wake } from './state.ts'
import { foundOf, graceMs, type TeardownParts, teardownOf, volumeOf } from './teardown.ts'
import { attachVolume } from './volumes/attach.ts'
import type { Device } from './volumes/block-driver.ts'
import { untilWrongPort } from './wrong-port.ts'

export type WakeParts = TeardownParts & {
  readonly clock: Clock
  readonly untilReady: typeof untilReady
  /** Who may take memory and volume slots; left out: everybody. */
  readonly room?: Pick<Room, 'admit' | 'adopt' | 'leave' | 'rename' | 'shrink'> | undefined
  /** Which wakes may use processors now, once their image is here and their companions are awake; left out: all. */
  readonly starts?: Pick<Turns<AppName>, 'take'> | undefined
  /** Adds a line to the log of the app. */
  readonly journal: (instance: InstanceId, line: string) => void
  /** Told of the container when it runs, so that what it writes is kept from its first line on, and what it uses is counted. */
  readonly onStarted: (container: Container, task: TaskDefinition) => void
  /** The gate of the container that the wake had taken stays shut; see `GateStaysShut`. Left out: nobody asks. */
  readonly onGateShut?: ((isRefused: boolean) => void) | undefined
  /** Wakes the apps that the app uses; left out: there are none. */
  readonly companions?: Pick<Companions, 'take'> | undefined
  /** Makes the source of a definition present; left out: no definition has one. */
  readonly sources?: Pick<Sources, 'ensure'> | undefined
}

const NONE: ReadonlySet<string> = new Set()

// An app that boots for longer than this waits for something else than a processor.
const TURN_MS = 1_000
// Bounds the pull of an image and the repair of a filesystem; the start has the app's own deadline.
const PREPARED_WITHIN_MS = 900_000

/** Which of the containers of its instance a wake makes. */
export type Beside = {
  /** Under which its memory is counted. */
  readonly key: RunKey
  /** The ids of the containers that its instance has already, asked for when it comes to making or undoing. */
  readonly others: () => ReadonlySet<string>
}

/** Begins to wake the instance. `beside`: it has other containers, which this wake does not touch. When `running` rejects, no step is under way any more, and `undo` is the caller's to unwind. */
export function beginWake(
  instance: InstanceId,
  task: TaskDefinition,
  parts: WakeParts,
  signal: AbortSignal,
  beside: Beside = { key: instance, others: () => NONE },
): Wake {
  let made: Container | undefined
  let lost: AbortSignal | undefined
  const undo = teardownOf(
    {
      instance,
      volume: volumeOf(instance, task),
      graceMs: () => graceMs(task, lost, parts),
      containers: async () => (made === undefined ? await foundOf(parts.runtime, instance, beside.others()) : [made]),
    },
    parts,
  )
  const steps: Steps = {}
  const run = async (): Promise<Running> => {
    if (task.volume !== undefined && !isPlain(instance)) throw hasNoVolume(instance, task.volume.id)
    await admit(instance, task, parts, signal, beside.key)
    const prepared = await prepare({ instance, task, beside, parts, steps }, signal)
    const { container, task: resolved } = prepared
    made = container
    lost = prepared.lost
    const start = (own: Container, turn?: Turn) =>
      startContainer(resolved, own, parts, steps, either(signal, prepared.lost), turn)
    const awake = (own: Container, started: Started): Running => ({
      ...{ task: resolved, container: own, undo, lost, readyAt: parts.clock.now() },
      ...started,
    })
    try {
      return awake(container, await start(container, prepared.turn))
    } catch (error) {
      // It was parked, and has run nothing of the app.
      if (!(error instanceof GateStaysShut)) throw error
      parts.onGateShut?.(error.isRefused)
    }
    const step = stepper(instance, parts, steps, signal)
    made = await step('create', () => createContainer({ instance, task: resolved, beside, parts }, signal))
    return awake(made, await start(made))
  }
  return { undo, steps, running: run() }
}

/** Takes the room for the wake. If there is none, another node takes the app: so a disk that stayed attached is given up first. */
async function admit(
  instance: InstanceId,
  task: TaskDefinition,
  parts: WakeParts,
  signal: AbortSignal,
  key: RunKey,
): Promise<void> {
  const volume = volumeOf(instance, task)?.id
  try {
    await parts.room?.admit(instance, task, signal, key)
  } catch (error) {
    await parts.lingering?.giveUp(volume)
    throw error
  }
  if (volume !== undefined) await parts.lingering?.resume(volume)
}

type Prepared = {
  readonly instance: InstanceId
  readonly task: TaskDefinition
  readonly beside: Beside
  readonly parts: WakeParts
  readonly steps: Steps
}

/** Volume and container side by side, in the turn of the wake; rejects with the first failure when both have come to rest. */
async function prepare(
  { instance, task, beside, parts, steps }: Prepared,
  given: AbortSignal,
): Promise<Made & Partial<Attached> & { readonly turn: Turn }> {
  const other = new AbortController()
  using limit = deadline(parts.clock, PREPARED_WITHIN_MS, () => notPrepared(task, steps))
  const signal = AbortSignal.any([given, other.signal, limit.signal])
  const step = stepper(instance, parts, steps, signal)
  const lane = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      other.abort(error)
      throw error
    }
  }
  const making = { instance, task, beside, parts, steps }
  const image = lane(prepareImage(task, parts, step, signal))
  const awake = lane(wakeCompanions(instance, task, parts, step, signal))
  // Not before: a pull may take minutes, and companions have turns of their own.
  const turn = parts.starts && lane(Promise.all([image, awake]).then(() => takeTurn(making, step, signal)))
  const [volume, container, companions, taken] = await Promise.allSettled([
    lane((turn ?? Promise.resolve()).then(() => prepareVolume(instance, task, parts, step, signal))),
    lane(Promise.all([image, turn]).then(([found]) => prepareContainer(making, found, step, signal))),
    awake,
    turn,
  ])
  const mine = taken.status === 'fulfilled' ? taken.value : undefined
  try {
    if (volume.status === 'fulfilled' && container.status === 'fulfilled' && companions.status === 'fulfilled') {
      const { device, lost } = volume.value
      await fillVolume(container.value.task, device, parts, either(signal, lost))
      return { ...container.value, ...volume.value, turn: mine }
    }
    throw signal.aborted ? signal.reason : new Error('a lane of a wake failed without a reason')
  } catch (error) {
    mine?.[Symbol.dispose]()
    throw error
  }
}

type Started = Pick<Running, 'address' | 'watch'>
/** Set where the node lets few apps start at a time. */
type Turn = Disposable | undefined

async function takeTurn(
  { task, parts: { starts } }: Pick<Prepared, 'task' | 'parts'>,
  step: Stepper,
  signal: AbortSignal,
): Promise<Turn> {
  return starts && (await step('turn', () => starts.take(task.app, signal)))
}

/** The apps that it uses are ready before it starts. */
export async function wakeCompanions(
  instance: InstanceId,
  task: TaskDefinition,
  { companions }: Pick<WakeParts, 'companions'>,
  step: Stepper,
  signal: AbortSignal,
): Promise<void> {
  if (companions === undefined || task.uses === undefined) return
  await step('companions', () => companions.take(instance, task, signal))
}

/** A container, and the definition that it was made by: its image is pinned, and its port known. */
type Made = { readonly container: Container; readonly task: TaskDefinition }
/** The task's volume; `lost` aborts when its lease is lost. */
type Attached = { readonly device: Device; readonly lost: AbortSignal | undefined }
export type Stepper = <T>(name: WakeStep, work: () => Promise<T>) => Promise<T>

async function prepareVolume(
  instance: InstanceId,
  task: TaskDefinition,
  parts: WakeParts,
  step: Stepper,
  given: AbortSignal,
): Promise<Partial<Attached>> {
  if (task.volume === undefined) return {}
  const { id, size } = task.volume
  const driver = parts.volumes.of(task.volume)
  const leased = { id, driver: task.volume.driver, ...parts.volumes.termsOf(task.volume) }
  const { lost, epoch } = await step('lease', () => parts.leases.take(leased, given))
  const signal = either(given, lost)
  const onTooSmall = ({ message, details: { hint } }: ShadowError): void =>
    parts.journal(instance, `volume not grown to ${size}, and used as it is: ${message}${hint ? ` (${hint})` : ''}`)
  const wanted = { volume: id, sizeBytes: toBytes(size), format: parts.filesystem.make, epoch, onTooSmall }
  const device = await step('attach', () => attachVolume(driver, wanted, signal))
  await step('fsck', () => parts.filesystem.check(id, device, signal))
  await step('mount', async () => {
    await parts.filesystem.prepare(id)
    await parts.filesystem.mount(id, device, signal)
  })
  return { device, lost }
}

/** A volume that no app has had yet begins with what the image has in its place, as Docker does it with volumes of its own. */
async function fillVolume(
  task: TaskDefinition,
  device: Device | undefined,
  parts: WakeParts,
  signal: AbortSignal,
): Promise<void> {
  if (task.volume === undefined || device === undefined) return
  await parts.filesystem.fill(task.volume.id, device, at => parts.runtime.copyFolder(task, at, signal))
}

async function prepareImage(
  task: TaskDefinition,
  { runtime, sources }: Pick<WakeParts, 'runtime' | 'sources'>,
  step: Stepper,
  signal: AbortSignal,
): Promise<ImageFacts> {
  const [image] = await step('image', () =>
    Promise.all([runtime.ensureImage(task.image, signal, task), sources?.ensure(task, signal)]),
  )
  return image
}

async function prepareContainer(
  { instance, task: given, beside, parts }: Prepared,
  image: ImageFacts,
  step: Stepper,
  signal: AbortSignal,
): Promise<Made> {
  const task = pinnedTo(given, image)
  const container = await step('create', async () => {
    const volume = task.volume?.id
    if (volume !== undefined) await parts.filesystem.prepare(volume)
    await parts.sockets?.open(instance)
    return createContainer({ instance, task, beside, parts }, signal)
  })
  return { container, task }
}

function createContainer(
  { instance, task, beside, parts }: Omit<Prepared, 'steps'>,
  signal: AbortSignal,
): Promise<Container> {
  // The name of the usual container may still be that of one that lets its last requests end.
  const key = beside.others().size === 0 ? instance : besideKey(instance, task.revision)
  return parts.runtime.create(instance, task, task.volume && parts.filesystem.at(task.volume.id), signal, key)
}

/** Starts the container in its turn, which it takes if the caller has none, and waits until it is ready, for no longer than its definition allows; its death ends the wait at once. */
export function startContainer(
  task: TaskDefinition,
  container: Container,
  parts: WakeParts,
  steps: Steps,
  given: AbortSignal,
  had?: Turn,
): Promise<Started> {
  const start = (): Promise<Started> => startNow(task, container, parts, steps, given)
  const inTurn = async (): Promise<Started> => {
    const step = stepper(container.instance, parts, steps, given)
    using turn = had ?? (await takeTurn({ task, parts }, step, given))
    using _limit = parts.clock.after(TURN_MS, () => turn?.[Symbol.dispose]())
    return await start()
  }
  return parts.starts === undefined ? start() : inTurn()
}

async function startNow(
  task: TaskDefinition,
  container: Container,
  parts: WakeParts,
  steps: Steps,
  given: AbortSignal,
): Promise<Started> {
  const ended = new AbortController()
  const over = new AbortController()
  let watch: ExitWatch | undefined
  const late = Symbol('late')
  let said: string | undefined
  const onAnswer = (answer: string): void => {
    said = answer
  }
  using limit = deadline(parts.clock, toMs(task.startWithin), () => late)
  const signal = AbortSignal.any([given, ended.signal, limit.signal])
  const step = stepper(container.instance, parts, steps, signal)
  try {
    const ip = await step('start', () => parts.runtime.start(container, signal))
    const address = ip.includes(':') ? `[${ip}]:${task.port}` : `${ip}:${task.port}`
    parts.onStarted(container, task)
    const output = (until: AbortSignal) => parts.runtime.output(container, undefined, until)
    watch = new ExitWatch(container, parts.runtime)
    watch.exited.then(
      async exit => ended.abort(await diedEarly(task, container, exit, parts)),
      () => undefined, // the watch was ended, by us
    )
    const listening = () => parts.runtime.listening(container)
    untilWrongPort({ task, ip, listening, clock: parts.clock }, AbortSignal.any([signal, over.signal])).then(
      async found => ended.abort(await onWrongPort(task, container, found, parts)),
      () => undefined, // the wait was over
    )
    const health = () => parts.runtime.health(container)
    const isReady = parts.untilReady({ task, address, output, health, onAnswer }, signal)
    await step('ready', () => orAborted(isReady, signal))
    return { address, watch }
  } catch (error) {
    watch?.end()
    if (signal.reason === late) throw await notReady(task, container, said, parts)
    throw signal.aborted ? signal.reason : error
  } finally {
    over.abort()
  }
}

const either = (signal: AbortSignal, lost: AbortSignal | undefined): AbortSignal =>
  lost === undefined ? signal : AbortSignal.any([signal, lost])

export function stepper(
  instance: InstanceId,
  parts: Pick<WakeParts, 'onStep'>,
  steps: Steps,
  signal: AbortSignal,
): Stepper {
  return async (name, work) => {
    signal.throwIfAborted()
    parts.onStep(instance, name, 'before')
    const from = performance.now()
    const value = await work()
    steps[name] = Math.round((performance.now() - from) * 10) / 10
    parts.onStep(instance, name, 'after')
    return value
  }
}

function notPrepared(task: TaskDefinition, steps: Steps): ShadowError {
  const done = Object.keys(steps).join(', ') || 'nothing'
  return new ShadowError(
    'app-not-ready',
    `${task.app} could not be prepared within ${sayMs(PREPARED_WITHIN_MS)}; done by then: ${done}`,
  )
}
