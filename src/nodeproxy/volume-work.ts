import type { MasterClient } from '../api/client.ts'
import type { Clock } from '../lib/clock.ts'
import type { Exec } from '../lib/exec.ts'
import type { Log } from '../lib/log.ts'
import { type InstanceId, instanceId } from '../model/instance-id.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { openVolumeBackups } from './backups/open.ts'
import type { VolumeBackups } from './backups/volume-backups.ts'
import type { NodeproxyConfig } from './config.ts'
import type { Filesystem } from './filesystem/filesystem.ts'
import type { HostedApps } from './hosted-apps.ts'
import type { Leases } from './leases/leases.ts'
import { BusyVolumes } from './snapshots/busy-volumes.ts'
import { snapshotHandlers } from './snapshots/handlers.ts'
import { Moments } from './snapshots/moments.ts'
import { volumeGrowth } from './snapshots/volume-growth.ts'
import { VolumeRestores } from './snapshots/volume-restores.ts'
import { VolumeSnapshots } from './snapshots/volume-snapshots.ts'
import { VolumeViews } from './snapshots/volume-views.ts'
import { VolumeExports } from './volume-exports.ts'
import { VolumeMoves } from './volume-moves.ts'
import type { BlockDrivers } from './volumes/block-drivers.ts'

type Parts = {
  readonly config: NodeproxyConfig
  readonly node: NodeName
  readonly volumes: BlockDrivers
  readonly filesystem: Filesystem
  readonly leases: Leases
  readonly master: MasterClient
  readonly hosted: HostedApps
  readonly journal: (instance: InstanceId, line: string) => void
  readonly exec: Exec
  readonly clock: Clock
  readonly log: Log
  /** Aborts when the node stops. */
  readonly ending: AbortSignal
}

/** What a node does to volumes beside mounting them. */
type VolumeWork = {
  readonly moves: VolumeMoves
  readonly exports: VolumeExports
  readonly snapshots: ReturnType<typeof snapshotHandlers>
  readonly backups: VolumeBackups
  /** Removes what an earlier run left in the middle, beside the start of the node. */
  recover(): void
}

/** Puts moves, snapshots, backups, restores and exports of the volumes of a node together. */
export function openVolumeWork({ config, hosted, journal, ending, ...parts }: Parts): VolumeWork {
  const { apps, instances } = hosted
  const { volumes, filesystem, clock, log } = parts
  const { data } = config
  const about = {
    ...parts,
    folder: `${data}/volumes`,
    instanceOf: async (app: AppName, permit?: string) => instances.of(instanceId(app), await apps.resolve(app, permit)),
  }
  const moves = new VolumeMoves(about)
  const moments = new Moments({ ...about, filesystem })
  const busy = new BusyVolumes()
  const views = new VolumeViews({ moments, busy, volumes, folder: `${data}/views`, clock, log })
  const snapshots = new VolumeSnapshots({ moments, busy, journal, log })
  const growth = volumeGrowth({ ...about, apps, filesystem })
  const restores = new VolumeRestores({ moments, busy, journal, clock, log })
  const backups = openVolumeBackups({ ...about, config, moments, restores, views, journal })
  return {
    moves,
    exports: new VolumeExports(about),
    snapshots: snapshotHandlers({ snapshots, restores, arrivals: moves.arrivals, growth, ending }),
    backups,
    recover() {
      void backups.recover().catch(cause => log.warn('restores of an earlier run not removed', { cause }))
      void views.recover()
      void moves.recover().catch(cause => log.warn('moves of an earlier run not looked at', { cause }))
    },
  }
}
