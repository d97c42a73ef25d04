import type { NodeName } from './names.ts'

export const BACKUP_REASONS = ['asked', 'scheduled', 'deploy'] as const
/** `asked`: by a person; `scheduled`: by the policy of the app; `deploy`: before its definition was changed. */
export type BackupReason = (typeof BACKUP_REASONS)[number]

/** One backup of a volume: a snapshot in the restic repository of the volume. */
export type Backup = {
  /** The id of the snapshot in the repository. */
  readonly id: string
  readonly at: string
  readonly why: BackupReason
  /** The node that made it. */
  readonly node: NodeName
  /** The size of the volume. */
  readonly sizeBytes: number
  /** How much of that was data, and no holes. */
  readonly dataBytes: number
  /** What the repository has grown by. */
  readonly addedBytes: number
  readonly ms: number
  /** Of the image of the volume; a restored image must have the same. */
  readonly digest: string
}

export const BACKUP_RUNS = ['backup', 'restore', 'verify', 'prune'] as const
/** What a node does with the repository of a volume. One at a time. */
export type BackupRun = (typeof BACKUP_RUNS)[number]

const RUNS_SAID: Readonly<Record<BackupRun, string>> = {
  backup: 'backed up',
  restore: 'restored',
  verify: 'restored for a test',
  prune: 'pruned of old backups',
}
export const sayRun = (run: BackupRun): string => RUNS_SAID[run]

/** The most backups that are kept of a volume. */
export const MOST_BACKUPS = 1_000

/** How many characters of the id of a backup people see. */
const SHOWN = 8
export const shortId = ({ id }: Pick<Backup, 'id'>): string => id.slice(0, SHOWN)

/** What a list of volumes tells of the backups of one. */
export type VolumeBackupFacts = {
  readonly count: number
  readonly bytes: number
  readonly newestAt?: string | undefined
  /** When the newest backup that was restored for a test was found whole. */
  readonly verifiedAt?: string | undefined
  /** The last run failed. */
  readonly isFailing: boolean
}
