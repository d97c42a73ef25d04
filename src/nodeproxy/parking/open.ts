import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { WakeCause } from '../../model/instance.ts'
import { type InstanceId, instanceId, isPlain } from '../../model/instance-id.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { NodeproxyConfig } from '../config.ts'
import type { HostedApps } from '../hosted-apps.ts'
import type { Reclaimer } from '../pressure/memory-pressure.ts'
import { Parking } from './parking.ts'
import { WakeRecords } from './wake-records.ts'

type Options = {
  readonly config: Pick<NodeproxyConfig, 'parkedApps'>
  /** Where the node keeps files of its own. */
  readonly folder: string
  readonly hosted: () => Pick<HostedApps, 'apps' | 'instances' | 'mustBeAllowed'>
  readonly mustWake: (task: TaskDefinition) => void
  readonly isShort: () => boolean
  readonly clock: Clock
  readonly log: Log
}

type NodeParking = Reclaimer &
  Disposable & {
    /** How many apps are parked now. */
    readonly parked: number
    /** The wake of an instance has begun. */
    woken(instance: InstanceId, cause: WakeCause): void
    /** Begins to park apps, also such that were woken before the node was started. */
    start(): Promise<void>
  }

/** The parking of a node, and how it learns of wakes. */
export function openParking({ config, folder, hosted, mustWake, isShort, clock, log }: Options): NodeParking {
  const { parkedApps: most } = config
  const records = new WakeRecords({ file: `${folder}/wakes.json`, log })
  const instances = () => hosted().instances.all.filter(({ id }) => isPlain(id))
  const parking = new Parking({ most, instances, mustWake, isShort, records, clock, log })
  return {
    what: parking.what,
    reclaim: () => parking.reclaim(),
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
