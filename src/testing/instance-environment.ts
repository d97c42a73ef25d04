import assert from 'node:assert/strict'
import { noLog } from '../lib/log.ts'
import type { EndedRun, Held, HoldRequest } from '../model/instance.ts'
import { instanceId } from '../model/instance-id.ts'
import { nodeName } from '../model/names.ts'
import type { TaskDefinition } from '../model/task.ts'
import { Instance } from '../nodeproxy/instance.ts'
import type { InstanceCounters } from '../nodeproxy/instance-counters.ts'
import type { InstanceParts } from '../nodeproxy/instance-parts.ts'
import { Queue } from '../nodeproxy/queue.ts'
import type { BlockDriver } from '../nodeproxy/volumes/block-driver.ts'
import { BlockDrivers } from '../nodeproxy/volumes/block-drivers.ts'
import { Lingering } from '../nodeproxy/volumes/lingering.ts'
import { HandClock } from './clock.ts'
import { aHoldRequest, aTask } from './fake-app.ts'
import { FakeLeases } from './fake-leases.ts'
import { FakeRuntime } from './fake-runtime.ts'
import { FakeVolumes } from './fake-volumes.ts'

type Options = {
  revisions?: InstanceParts['revisions']
  waiting?: number
  onStep?: (step: string) => void
  onReady?: () => void
  counters?: InstanceCounters
  tracer?: InstanceParts['tracer']
  mustWake?: InstanceParts['mustWake']
  endsBySleep?: InstanceParts['endsBySleep']
}

/** Everything that an instance needs, controlled by a test. */
export class InstanceEnvironment {
  readonly clock = new HandClock()
  readonly runtime = new FakeRuntime()
  readonly volumes: FakeVolumes
  readonly leases: FakeLeases
  /** How often the instance reported that the runtime lost track of its container. */
  lost = 0
  /** The runs that take no more requests. */
  readonly ended: EndedRun[] = []
  /** How long nobody may use an app before it is frozen, where it does not say. */
  freezeAfter: InstanceParts['freezeAfter']
  suspendAfter: InstanceParts['suspendAfter']
  /** The lowest tier for want of use, where the app does not say. */
  keep: InstanceParts['keep']
  /** Who may start a container now. */
  starts: InstanceParts['starts']
  /** The lines that instances added to logs of apps. */
  readonly journal: string[] = []
  becomeReady: () => Promise<void> = async () => undefined

  /** The driver as the only one of the node. */
  readonly drivers: BlockDrivers
  readonly lingering: Lingering | undefined
  /** Who may take memory and volume slots. */
  room: InstanceParts['room']
  /** Who takes down what happens. */
  history: InstanceParts['history']

  /** `detachAfterMs`: volumes are disks of a cloud, and stay attached for so long after a sleep. */
  constructor({ excludes = true, detachAfterMs }: { excludes?: boolean; detachAfterMs?: number } = {}) {
    this.volumes = new FakeVolumes({ excludes })
    this.leases = new FakeLeases({ expire: !excludes })
    this.drivers = detachAfterMs === undefined ? this.volumes.drivers : inCloud(this.volumes)
    this.lingering =
      detachAfterMs === undefined
        ? undefined
        : new Lingering({ detachAfterMs, volumes: this.drivers, leases: this.leases, clock: this.clock, log: noLog })
    this.volumes.inUse = () => this.runtime.running().length > 0
  }

  anInstance(task: TaskDefinition = aTask(), options: Options = {}, id = instanceId(task.app)): Instance {
    const bounds = { requests: options.waiting ?? 1_000, bytes: 1_000_000 }
    return new Instance(id, task, {
      clock: this.clock,
      runtime: this.runtime,
      volumes: this.drivers,
      lingering: this.lingering,
      room: this.room,
      history: this.history,
      freezeAfter: this.freezeAfter,
      suspendAfter: this.suspendAfter,
      keep: this.keep,
      starts: this.starts,
      leaseLostGraceMs: 5_000,
      filesystem: this.volumes,
      leases: this.leases,
      untilReady: () => this.becomeReady(),
      onStarted: () => undefined,
      onStep: (_instance, step, when) => {
        if (when === 'before') options.onStep?.(step)
        if (when === 'after' && step === 'ready') options.onReady?.()
      },
      node: nodeName('n1'),
      queue: new Queue({ perApp: bounds, perNode: bounds }),
      log: noLog,
      counters: options.counters,
      tracer: options.tracer,
      revisions: options.revisions,
      mustWake: options.mustWake,
      endsBySleep: options.endsBySleep,
      journal: (_instance, line) => void this.journal.push(line),
      onLost: () => void this.lost++,
      reconcile: async () => undefined,
      reopensWithinMs: 0,
      onRunEnded: ended => void this.ended.push(ended),
    })
  }

  /** An app without a volume that is awake, by its first release. */
  async anAwake(changes: Partial<TaskDefinition> = {}): Promise<Instance> {
    const instance = this.anInstance(releaseOf(1, changes))
    release(await hold(instance))
    return instance
  }

  /** Such an app, whose second release is being started beside its first one; `ready` decides whether that becomes ready. */
  async aSwitch(): Promise<{ readonly instance: Instance; readonly ready: PromiseWithResolvers<void> }> {
    const instance = await this.anAwake()
    const ready = this.slowReady()
    instance.define(releaseOf(2))
    await settled()
    return { instance, ready }
  }

  /** The revisions whose containers run, in the order in which they were made. */
  get revisions(): number[] {
    return this.runtime.running().map(({ revision }) => revision)
  }

  /** Readiness that a test makes succeed or fail. */
  slowReady(): PromiseWithResolvers<void> {
    const gate = Promise.withResolvers<void>()
    this.becomeReady = () => gate.promise
    return gate
  }

  nothingLeft(): void {
    assert.equal(this.runtime.containers.size, 0)
    assert.equal(this.volumes.mountedNow.size, 0)
    assert.equal(this.volumes.devices.size, 0)
  }
}

/** The volumes as disks of a cloud: they are in no file of the machine. */
function inCloud(volumes: FakeVolumes): BlockDrivers {
  const disks: BlockDriver = {
    excludes: true,
    create: (...made) => volumes.create(...made),
    grow: (volume, sizeBytes) => volumes.grow(volume, sizeBytes),
    attach: volume => volumes.attach(volume),
    detach: volume => volumes.detach(volume),
    remove: volume => volumes.remove(volume),
    attached: () => volumes.attached(),
  }
  return new BlockDrivers({ loop: disks })
}

/** A release of an app without a volume. */
export const releaseOf = (revision: number, changes: Partial<TaskDefinition> = {}): TaskDefinition =>
  aTask({ revision, volume: undefined, ...changes })

/** The stages through which the last release of the instance has gone. */
export const stagesOf = (instance: Instance): string[] =>
  instance.view().rollout?.stages.map(({ stage }) => stage) ?? []

export const never = new AbortController().signal

export const hold = async (instance: Instance, changes: Partial<HoldRequest> = {}, signal = never): Promise<Held> =>
  instance.hold(aHoldRequest(changes), { signal })

export const release = (held: Held): void => held[Symbol.dispose]()

/** Resolves when everything has happened that can happen without the clock. */
export const settled = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise(resolve => setImmediate(resolve))
}
