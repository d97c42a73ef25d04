import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Seals } from '../../lib/seals.ts'
import type { VolumeId } from '../../model/names.ts'
import type { Apps } from '../apps.ts'
import type { Nodes } from '../nodes.ts'
import type { Relay } from '../relay.ts'
import type { AppSecrets } from '../releases/app-secrets.ts'
import type { VolumeSnapshots } from '../snapshots/snapshots.ts'
import type { StoragePlace } from '../storage/place.ts'
import type { Storage } from '../storage/storage.ts'
import { appBackups } from './app-backups.ts'
import type { BackupParts } from './handlers.ts'
import { openRepositoryFiles } from './open.ts'
import { backupRecordKey, backupRecords } from './records.ts'
import { REPOSITORIES } from './repository-files.ts'
import { backupRuns } from './runs.ts'
import { type BackupSchedule, backupSchedule } from './schedule.ts'

type Given = {
  readonly place: StoragePlace
  readonly storage: Storage
  readonly seals: Seals
  readonly apps: Apps
  readonly secrets: AppSecrets
  readonly relay: Relay
  readonly snapshots: VolumeSnapshots
  readonly nodes: Nodes
  /** Tells all masters that this document has changed. */
  readonly announce: (key: string) => void
  readonly clock: Clock
  readonly log: Log
}

/** Puts the room of the backups together. */
export async function openBackups({
  place,
  storage,
  seals,
  announce,
  clock,
  log,
  ...rest
}: Given): Promise<
  BackupParts & AsyncDisposable & { readonly schedule: Pick<BackupSchedule, 'changed' | 'missed' | 'now' | 'late'> }
> {
  const files = await openRepositoryFiles(place)
  const records = backupRecords({ storage, seals })
  const runs = backupRuns({ records, seals, clock, log })
  const addressOf = (volume: VolumeId): string => addressIn(place, volume)
  const told = (volume: VolumeId): void => {
    schedule.changed(volume)
    announce(backupRecordKey(volume))
  }
  const backups = appBackups({ ...rest, files, records, runs, clock, addressOf, policySet: told })
  const schedule = backupSchedule({ records, backups, clock, log })
  return {
    files,
    runs,
    backups,
    schedule,
    async [Symbol.asyncDispose]() {
      await schedule[Symbol.asyncDispose]()
      await files.close()
    },
  }
}

/** The repository as `restic -r` takes it. */
function addressIn(place: StoragePlace, volume: VolumeId): string {
  if (place.kind === 'directory') return `${place.path}/${REPOSITORIES}/${volume}`
  return `s3:${place.endpoint}/${place.bucket}/${REPOSITORIES}/${volume}`
}
