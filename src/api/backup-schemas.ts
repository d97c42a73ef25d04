import { z } from 'zod'
import { BACKUP_REASONS, BACKUP_RUNS, type Backup } from '../model/backup.ts'
import { BACKUP_DEFAULTS, type KeepRule, LEAST_EVERY_MS } from '../model/backup-policy.ts'
import { toMs } from '../model/quantities.ts'
import { ProblemSchema } from './problem-schema.ts'
import { DurationSchema, described, NodeNameSchema } from './schemas.ts'

export const BackupIdSchema = z.string().regex(/^[0-9a-f]{64}$/, 'must be the whole id of a backup: 64 of 0-9 and a-f')

/** What the node tells of a backup that it has made. */
export const MadeBackupSchema = z.object({
  id: BackupIdSchema,
  at: z.iso.datetime(),
  sizeBytes: z.number().describe('the size of the volume'),
  dataBytes: z.number().describe('how much of that was data, and no holes'),
  addedBytes: z.number().describe('what the repository has grown by'),
  ms: z.number(),
  digest: z.string().describe('of the image of the volume'),
})

export const BackupSchema = described<Backup>(
  MadeBackupSchema.extend({ why: z.enum(BACKUP_REASONS), node: NodeNameSchema }),
  'Backup',
)

const keptOf = (rule: KeepRule) =>
  z
    .int()
    .min(1)
    .max(1_000)
    .optional()
    .describe(
      rule === 'last' ? 'so many of the newest' : `one of each of so many, ${rule}; as --keep-${rule} of restic`,
    )
export const KeepSchema = z.strictObject({
  last: keptOf('last'),
  hourly: keptOf('hourly'),
  daily: keptOf('daily'),
  weekly: keptOf('weekly'),
  monthly: keptOf('monthly'),
  yearly: keptOf('yearly'),
})

const atLeastAMinute = DurationSchema.refine(value => toMs(value) >= LEAST_EVERY_MS, {
  error: 'must be at least 1m',
})
/** When the volume of an app is backed up by itself. */
export const BackupPolicySchema = z
  .strictObject({
    every: atLeastAMinute.optional().describe('left out: not by the clock'),
    beforeDeploy: z.boolean().default(false).describe('whether it is backed up before its definition changes'),
    keep: KeepSchema.default(BACKUP_DEFAULTS.keep).describe(
      'which backups are kept; those that a person has asked for always are; empty: all',
    ),
    verify: atLeastAMinute.optional().describe('how often the newest backup is restored for a test; left out: never'),
  })
  .meta({ id: 'BackupPolicy' })

/** How a node uses the repository of a volume for one run: the master gives it this, and takes it back when the run has ended. */
export const RepositoryAccessSchema = z.strictObject({
  grant: z.string().max(500),
  password: z.string().max(200),
  isNew: z.boolean().default(false).describe('there is no repository yet'),
})
export type RepositoryAccess = z.output<typeof RepositoryAccessSchema>

/** A backup to restore, with what is known of it. */
export const RestoredSchema = z.strictObject({
  backup: BackupIdSchema,
  digest: z.string().max(100),
  sizeBytes: z.number().min(0),
  dataBytes: z.number().min(0),
})
export type Restored = z.output<typeof RestoredSchema>

export const BackupsSchema = z
  .object({
    volume: z.string(),
    items: z.array(BackupSchema).describe('the newest first'),
    storedBytes: z.number().describe('the size of the repository'),
    policy: BackupPolicySchema.nullable().describe('null: it is backed up only when it is told to'),
    run: z
      .object({ kind: z.enum(BACKUP_RUNS), node: NodeNameSchema, since: z.iso.datetime() })
      .nullable()
      .describe('what is being done with the repository now'),
    verified: z
      .object({ backup: BackupIdSchema, at: z.iso.datetime() })
      .nullable()
      .describe('the last backup that was restored for a test, checked and compared'),
    failure: z
      .object({ kind: z.enum(BACKUP_RUNS), at: z.iso.datetime(), problem: ProblemSchema })
      .nullable()
      .describe('the last run, if it failed'),
  })
  .meta({ id: 'Backups' })
