import type { Log } from '../lib/log.ts'
import type { Tracer } from '../lib/tracing/tracer.ts'
import type { EndedRun, KeepTier, WakeCause } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { AppName, NodeName } from '../model/names.ts'
import type { Duration } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Companions } from './companions/companions.ts'
import type { Drain } from './drain.ts'
import type { HistoryRecorder } from './history/recorder.ts'
import type { InstanceCounters } from './instance-counters.ts'
import type { Queue } from './queue.ts'
import type { ReadyOptions } from './readiness.ts'
import type { Revisions } from './revisions.ts'
import type { Rested } from './state.ts'
import type { Rolls } from './switch/rolls.ts'
import type { WakeParts } from './wake.ts'

/** What an instance stands on: all of the node's are given the same. */
export type InstanceParts = WakeParts & {
  readonly node: NodeName
  readonly queue: Queue
  /** How long requests in flight may go on, where an app does not say; left out: the usual. */
  readonly drain?: Drain | undefined
  /** Throws if this node may wake the app no more; left out: it may. */
  readonly mustWake?: ((task: TaskDefinition) => void) | undefined
  /** The turns of the instances of an app to be switched; left out: there is one instance. */
  readonly rolls?: Rolls | undefined
  /** Where the requests of an app are counted; left out: they are not. */
  readonly requestsOf?: ((app: AppName) => Int32Array | undefined) | undefined
  readonly log: Log
  /** Traces wakes; left out: none is traced. */
  readonly tracer?: Tracer | undefined
  readonly counters?: InstanceCounters | undefined
  /** Keeps what happens to instances; left out: nobody does. */
  readonly history?: HistoryRecorder | undefined
  /** Where what is learnt of revisions is kept; left out: it is not. */
  readonly revisions?: Pick<Revisions, 'of' | 'keep' | 'forget'> | undefined
  /** Keeps the apps awake that an instance uses; left out: no app uses another one. */
  readonly companions?: Pick<Companions, 'take' | 'adopt' | 'keep' | 'leave' | 'viewOf'> | undefined
  /** How visitors come to an app, by which it is asked whether it is idle; left out: by its address. */
  readonly visitorsOf?: ((app: AppName) => Pick<ReadyOptions, 'hostname' | 'proto'>) | undefined
  /** How long nobody may use the app before it sleeps, where its document says that beside its definition. */
  readonly idleOf?: ((app: AppName) => Duration | undefined) | undefined
  /** Whether the app can never be woken again once it sleeps; left out: none is such. */
  readonly endsBySleep?: ((app: AppName) => boolean) | undefined
  /** The wake of an instance has begun; left out: nobody asks. */
  readonly onWoken?: ((instance: InstanceId, cause: WakeCause) => void) | undefined
  /** An instance has come to rest, and nothing of it is left; left out: nobody asks. */
  readonly onRested?: ((instance: InstanceId, rest: Rested) => void) | undefined
  /** Whether apps are not put to sleep for want of use, where they do not say; left out: they are. */
  readonly sleepDryRun?: boolean | undefined
  /** How long nobody may use an app before it is frozen, where the app does not say; left out: never. */
  readonly freezeAfter?: Duration | 'never' | undefined
  /** The same for the time at which a frozen app is suspended. */
  readonly suspendAfter?: Duration | 'never' | undefined
  /** The lowest tier that an app goes to for want of use, where it does not say; left out: asleep. */
  readonly keep?: KeepTier | undefined
  /** Writes an event into the instance's own log. */
  readonly journal: (instance: InstanceId, line: string) => void
  /** The runtime lost sight of a container: the node should take an inventory soon. */
  readonly onLost: () => void
  /** Takes an inventory of this machine now, and mends what differs. */
  readonly reconcile: () => Promise<void>
  /** How long a port that refuses connections is waited for, while the app runs. */
  readonly reopensWithinMs: number
  /** No request goes to this run of the app any more. */
  readonly onRunEnded: (ended: EndedRun) => void
}
