import assert from 'node:assert/strict'
import { noLog } from '../lib/log.ts'
import type { Held, HoldRequest } from '../model/instance.ts'
import { instanceId } from '../model/instance-id.ts'
import { nodeName } from '../model/names.ts'
import type { TaskDefinition } from '../model/task.ts'
import { Instance } from '../nodeproxy/instance.ts'
import type { InstanceCounters } from '../nodeproxy/instance-counters.ts'
import type { InstanceParts } from '../nodeproxy/instance-parts.ts'
import { Queue } from '../nodeproxy/queue.ts'
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
  mustWake?: InstanceParts['mustWake']
}

/** Everything that an instance needs, controlled by a test. */
export class InstanceEnvironment {
  readonly clock = new HandClock()
  readonly runtime = new FakeRuntime()
  readonly volumes: FakeVolumes
  readonly leases: FakeLeases
  /** How often the instance reported that the runtime lost track of its container. */
  lost = 0
  becomeReady: () => Promise<void> = async () => undefined

  constructor({ excludes = true } = {}) {
    this.volumes = new FakeVolumes({ excludes })
    this.leases = new FakeLeases({ expire: !excludes })
    this.volumes.inUse = () => this.runtime.running().length > 0
  }

  anInstance(task: TaskDefinition = aTask(), options: Options = {}, id = instanceId(task.app)): Instance {
    const bounds = { requests: options.waiting ?? 1_000, bytes: 1_000_000 }
    return new Instance(id, task, {
      clock: this.clock,
      runtime: this.runtime,
      volumes: this.volumes.drivers,
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
      revisions: options.revisions,
      mustWake: options.mustWake,
      journal: () => undefined,
      onLost: () => void this.lost++,
      reconcile: async () => undefined,
      reopensWithinMs: 0,
      onRunEnded: () => undefined,
    })
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

export const never = new AbortController().signal

export const hold = async (instance: Instance, changes: Partial<HoldRequest> = {}, signal = never): Promise<Held> =>
  instance.hold(aHoldRequest(changes), { signal })

export const release = (held: Held): void => held[Symbol.dispose]()

/** Resolves when everything has happened that can happen without the clock. */
export const settled = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise(resolve => setImmediate(resolve))
}
