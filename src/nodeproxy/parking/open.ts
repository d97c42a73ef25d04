import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { WakeCause } from '../../model/instance.ts'
import { type InstanceId, instanceId, isPlain } from '../../model/instance-id.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { NodeproxyConfig } from '../config.ts'
import type { HostedApps } from '../hosted-apps.ts'
import { floorBytesOf } from '../pressure/memory-floor.ts'
import type { Reclaimer } from '../pressure/memory-pressure.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { Parking } from './parking.ts'
import { ParkingBudget } from './parking-budget.ts'
import { WakeRecords } from './wake-records.ts'

type Options = {
  readonly config: Pick<NodeproxyConfig, 'parkedApps' | 'parkedMemory'>
  readonly runtime: Pick<Runtime, 'portsLeft'>
  /** The memory of this machine. */
  readonly totalBytes: number
  /** Where the node keeps files of its own. */
  readonly folder: string
  readonly hosted: () => Pick<HostedApps, 'apps' | 'instances' | 'mustBeAllowed'>
  readonly mustWake: (task: TaskDefinition) => void
  readonly isShort: () => boolean
  readonly clock: Clock
  readonly log: Log
}

type NodeParking = Reclaimer &
  Disposable &
  Pick<Parking, 'byHand'> & {
    /** How many apps are parked now. */
    readonly parked: number
    /** The wake of an instance has begun. */
    woken(instance: InstanceId, cause: WakeCause): void
    /** Begins to park apps, also such that were woken before the node was started. */
    start(): Promise<void>
  }

/** The parking of a node, and how it learns of wakes. */
export function openParking({
  config: { parkedApps: most, parkedMemory },
  runtime,
  totalBytes,
  folder,
  hosted,
  mustWake,
  isShort,
  clock,
  log,
}: Options): NodeParking {
  const records = new WakeRecords({ file: `${folder}/wakes.json`, log })
  const instances = () => hosted().instances.all.filter(({ id }) => isPlain(id))
  const bytes = floorBytesOf(parkedMemory, totalBytes)
  const budget = new ParkingBudget({ bytes, portsLeft: () => runtime.portsLeft() })
  const parking = new Parking({ most, budget, instances, mustWake, isShort, records, clock, log })
  return {
    what: parking.what,
    reclaim: () => parking.reclaim(),
    byHand: (...asked) => parking.byHand(...asked),
    get parked() {
      return parking.parked
    },
    woken(instance, cause) {
      if (most > 0) records.woken(instance, cause === 'schedule', clock.wall())
    },
    async start() {
      if (most > 0) await records.load()
      const { apps, instances: all } = hosted()
      for (const app of apps.all) {
        const id = instanceId(app.name)
        if (all.get(id) === undefined && records.score(id, clock.wall()) > 0) all.of(id, app)
      }
      parking.start()
    },
    [Symbol.dispose]: () => parking[Symbol.dispose](),
  }
}
