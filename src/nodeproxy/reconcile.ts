import { deadline } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import type { Unwind } from '../lib/unwind.ts'
import { type InstanceId, instanceId, isPlain } from '../model/instance-id.ts'
import type { AppName, VolumeId } from '../model/names.ts'
import { duration, toMs } from '../model/quantities.ts'
import { TASK_DEFAULTS, type TaskDefinition, type VolumeDriver } from '../model/task.ts'
import { ExitWatch } from './exit-watch.ts'
import type { untilReady } from './readiness.ts'
import type { Running } from './running-container.ts'
import type { FoundContainer } from './runtime/runtime.ts'
import { graceMs, type TeardownParts, teardownOf, volumeOf } from './teardown.ts'

/** All containers and volumes of ours on this machine, as the kernel and the runtime know them. */
export type Inventory = {
  /** When the inventory was taken, by `clock.now()`. */
  readonly at: number
  readonly containers: ReadonlyMap<InstanceId, readonly FoundContainer[]>
  /** Volumes that are attached or mounted, with the driver that has them attached. */
  readonly volumes: ReadonlyMap<VolumeId, VolumeDriver | undefined>
  readonly mounted: ReadonlySet<VolumeId>
}

type Parts = TeardownParts & { readonly clock: Clock; readonly untilReady: typeof untilReady }

const READY_AGAIN_WITHIN_MS = 5_000
const NONE: ReadonlySet<string> = new Set()

/** Takes the inventory of this machine; fails with `runtime-unreachable`. */
export async function takeInventory({ runtime, volumes, filesystem, clock }: Parts): Promise<Inventory> {
  const at = clock.now()
  const [found, mounted, attached] = await Promise.all([runtime.leftBehind(), filesystem.mounted(), volumes.attached()])
  return {
    at,
    containers: Map.groupBy(found, ({ instance }) => instance),
    mounted: new Set(mounted),
    volumes: new Map([
      ...mounted.map(id => [id, undefined] as const),
      ...attached.map(({ id, driver }) => [id, driver] as const),
    ]),
  }
}

/**
 * What there is to undo of an instance, besides these containers; undefined where nothing is. A volume is left if no container should be there.
 * If there are others, those that are made to check a definition are left alone too: a check may be under way.
 */
export function straysOf(
  instance: InstanceId,
  task: TaskDefinition,
  inventory: Inventory,
  parts: TeardownParts,
  besides: ReadonlySet<string> = NONE,
): Unwind | undefined {
  const containers = (inventory.containers.get(instance) ?? []).filter(
    ({ id, key }) => !besides.has(id) && (besides.size === 0 || key !== undefined),
  )
  const volume = besides.size === 0 ? volumeOf(instance, task) : undefined
  const isLeft = volume !== undefined && inventory.volumes.has(volume.id) && !parts.lingering?.has(volume.id)
  if (containers.length === 0 && !isLeft) return undefined
  return teardownOf(
    { instance, volume, graceMs: () => toMs(task.sleep.grace), containers: async () => containers },
    parts,
  )
}

/**
 * What an earlier run of the node left running of an instance: the run that serves, and those of earlier releases that keep their sessions.
 * `isFrozen`: its processes do not run.
 */
export type LeftRunning = { readonly serves: Running; readonly formers: readonly Running[]; readonly isFrozen: boolean }

/**
 * The containers of the instance that are fit to be taken over. Of several ones, as a node leaves them that ends during a switch, the one
 * that runs `wanted` serves if it is ready, else the newest one that is. The others are strays, unless the app's sessions stay on the release
 * that they began with. Undefined if no container is fit. A container that is frozen stays so, if it is the only one and `mayStayFrozen`: it was ready
 * before, and to let all of them go on at once could take more memory than the machine has.
 */
export async function leftRunning(
  instance: InstanceId,
  task: TaskDefinition,
  wanted: number,
  inventory: Inventory,
  parts: Parts,
  mayStayFrozen: boolean,
): Promise<LeftRunning | undefined> {
  const containers = inventory.containers.get(instance) ?? []
  // One container alone may have had the volume: which one, and what the others did to it, is not known.
  if (volumeOf(instance, task) !== undefined && containers.filter(({ running }) => running).length > 1) return undefined
  const byRank = containers
    .filter(({ running }) => running)
    .toSorted((a, b) => Number(b.revision === wanted) - Number(a.revision === wanted) || b.revision - a.revision)
  const [only] = byRank
  const isFrozen = mayStayFrozen && byRank.length === 1 && only !== undefined && parts.runtime.isFrozen(only)
  const formers: Running[] = []
  let serves: Running | undefined
  for (const container of byRank) {
    if (serves === undefined) serves = await takenOver(instance, container, task, inventory, parts, isFrozen)
    else if (task.deploy?.sessions === 'stay') {
      const former = await takenOver(instance, container, task, inventory, parts, false)
      if (former !== undefined) formers.push(former)
    }
  }
  return serves && { serves, formers, isFrozen }
}

/** The run of a container that was left running: it must be ready, and have its volume under it. Undefined where it is not fit to be taken over. */
async function takenOver(
  instance: InstanceId,
  container: FoundContainer,
  task: TaskDefinition,
  inventory: Inventory,
  parts: Parts,
  isFrozen: boolean,
): Promise<Running | undefined> {
  if (container.ip === undefined) return undefined
  if (task.volume !== undefined && !isPlain(instance)) return undefined // the app has a volume since
  const volume = volumeOf(instance, task)
  if (volume !== undefined && !inventory.mounted.has(volume.id)) return undefined

  const address = container.ip.includes(':') ? `[${container.ip}]:${task.port}` : `${container.ip}:${task.port}`
  const watch = new ExitWatch(container, parts.runtime)
  const ended = new AbortController()
  watch.exited.then(
    () => ended.abort(new Error('it has ended')),
    () => undefined, // the watch was ended, by us
  )
  using limit = deadline(parts.clock, READY_AGAIN_WITHIN_MS, () => new Error('it is not ready'))
  let lost: AbortSignal | undefined
  try {
    // The lease of the earlier run may have expired since, and be another node's.
    if (volume !== undefined && parts.volumes.expires(volume)) {
      const terms = parts.volumes.termsOf(volume)
      lost = (await parts.leases.take({ ...volume, ...terms, isAttached: true }, limit.signal)).lost
    }
    // The line it wrote when it was ready may have left its bounded log since.
    const readiness = task.ready.kind === 'log' ? { ...task, ready: { kind: 'port' } as const } : task
    const output = (signal: AbortSignal) => parts.runtime.output(container, undefined, signal)
    const health = () => parts.runtime.health(container)
    if (!isFrozen) {
      await parts.runtime.thaw(container) // an earlier run may have been about to freeze it
      await parts.untilReady(
        { task: readiness, address, output, health },
        AbortSignal.any([ended.signal, limit.signal]),
      )
    }
  } catch {
    watch.end()
    return undefined // it is unwound like all that is half-way
  }
  const undo = teardownOf(
    { instance, volume, graceMs: () => graceMs(task, lost, parts), containers: async () => [container] },
    parts,
  )
  const { revision } = container
  return {
    task: { ...task, revision },
    container,
    address,
    undo,
    watch,
    lost,
    // The runtime reports wall clock time. If that clock was set back since, the result must still not lie in the future.
    readyAt: parts.clock.now() - Math.max(0, parts.clock.wall() - Date.parse(container.startedAt)),
  }
}

/** What is known here: an instance, and the definition of its app. */
export type KnownInstance = { readonly id: InstanceId; readonly task: TaskDefinition }

/** What there is to undo that belongs to no instance that is known here: containers first, for they may be what uses the volumes. */
export function ownerless(inventory: Inventory, known: readonly KnownInstance[], parts: TeardownParts): Unwind[] {
  const instances = new Set(known.map(({ id }) => id))
  const owned = new Set(known.flatMap(({ task }) => task.volume?.id ?? []))
  const usual = toMs(duration(TASK_DEFAULTS.grace))
  const left = [...inventory.containers].filter(([instance]) => !instances.has(instance))
  const undos = left.map(([instance, containers]) =>
    teardownOf({ instance, volume: undefined, graceMs: () => usual, containers: async () => containers }, parts),
  )
  for (const [id, driver] of inventory.volumes) {
    if (owned.has(id) || parts.lingering?.has(id)) continue
    const volume = { id, driver }
    const instance = instanceId(id as string as AppName) // an app's volume has the app's name, unless it was taken over from another
    undos.push(teardownOf({ instance, volume, graceMs: () => usual, containers: async () => [] }, parts))
  }
  return undos
}
