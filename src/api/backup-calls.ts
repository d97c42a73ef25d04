import { z } from 'zod'
import type { backupPaths, nodeBackupPaths } from './backup-paths.ts'
import {
  BackupIdSchema,
  BackupPolicySchema,
  BackupSchema,
  BackupsSchema,
  KeepSchema,
  MadeBackupSchema,
  RepositoryAccessSchema,
  RestoredSchema,
} from './backup-schemas.ts'
import { admin, appParams, type Call, volumeParams } from './call-shape.ts'
import { AppNameSchema, DigestSchema, VolumeIdSchema } from './schemas.ts'
import { SnapshotIdSchema } from './volume-schemas.ts'

const types = { type: z.enum(['keys', 'locks', 'snapshots', 'index', 'data']) }
const filesParams = volumeParams.extend(types)
const fileParams = filesParams.extend({ name: DigestSchema })
const readers = ['admin', 'node'] as const
const restic = "restic's REST protocol; a node may do it for the run that the master has started on it"
const bytes = 'application/octet-stream'

/** The calls about backups. Those of apps go by the name of the app, which its volume has too; they work for removed apps as well. */
export const backupCalls = {
  backUpApp: {
    says: 'back the volume of an app up now, and wait until that is done; the app is not woken; fails with not-found if there is no data yet, and with volume-in-use while its backups are in use',
    params: appParams,
    answer: z.object({ backup: BackupSchema }),
    may: admin,
  },
  listBackups: {
    says: 'list the backups of an app, also of one that was removed, the newest first',
    params: appParams,
    answer: BackupsSchema,
    may: admin,
  },
  removeBackups: {
    says: 'delete all backups of an app, and their key',
    params: appParams,
    answer: 'nothing',
    may: admin,
  },
  getBackupKey: {
    says: 'read the key that decrypts the backups of an app, and where they are, for restic without Shadow',
    params: appParams,
    answer: z.object({ password: z.string(), repository: z.string().describe('for restic -r') }),
    may: admin,
  },
  verifyBackup: {
    says: 'restore the newest backup to a temporary file, check its filesystem, compare it with what was backed up, and delete the file',
    params: appParams,
    answer: z.object({ backup: BackupSchema, ms: z.number() }),
    may: admin,
  },
  pruneBackups: {
    says: 'delete the backups of an app that the rules of its policy do not keep, and free their space',
    params: appParams,
    answer: z.object({ removed: z.int(), freedBytes: z.number() }),
    may: admin,
  },
  setBackupPolicy: {
    says: 'set when an app is backed up by itself, and which of its backups are kept; restarts nothing; null: only when it is told to',
    params: appParams,
    body: z.strictObject({ policy: BackupPolicySchema.nullable() }),
    answer: BackupsSchema,
    may: admin,
  },
  removeBackup: {
    says: 'delete one backup of an app; the space is free after the next pruning',
    params: appParams.extend({ backup: BackupIdSchema }),
    answer: 'nothing',
    may: admin,
  },
  restoreApp: {
    says: 'restore a backup of an app, the newest if none is named, into its volume, or into that of the app to: the backup is brought beside the volume and checked, then the app sleeps, and the volume is switched to it in one step; what it had becomes a snapshot, kept, for a day; undo=true restores the newest of these; dryRun=true only checks whether it can be done',
    params: appParams,
    body: z.strictObject({
      backup: BackupIdSchema.optional(),
      to: AppNameSchema.optional(),
      undo: z.boolean().default(false),
      dryRun: z.boolean().default(false),
    }),
    answer: z.object({
      backup: BackupSchema.nullable(),
      app: AppNameSchema,
      ms: z.number(),
      heldMs: z.number().describe('for how long the app could not serve'),
      kept: SnapshotIdSchema.nullable().describe('the snapshot of what the volume had; null if it had no data'),
    }),
    may: admin,
  },

  createRepository: {
    says: `make the repository of a volume: ${restic}`,
    params: volumeParams,
    query: z.looseObject({}),
    answer: 'stream',
    may: readers,
  },
  headRepositoryConfig: {
    says: `the size of the config of a repository: ${restic}`,
    params: volumeParams,
    answer: 'stream',
    may: readers,
  },
  getRepositoryConfig: {
    says: `read the config of a repository: ${restic}`,
    params: volumeParams,
    content: bytes,
    answer: 'stream',
    may: readers,
  },
  putRepositoryConfig: {
    says: `write the config of a new repository: ${restic}`,
    params: volumeParams,
    answer: 'stream',
    may: readers,
  },
  listRepositoryFiles: {
    says: `list files of a repository with their sizes: ${restic}`,
    params: filesParams,
    content: 'application/vnd.x.restic.rest.v2',
    answer: 'stream',
    may: readers,
  },
  headRepositoryFile: {
    says: `the size of a file of a repository: ${restic}`,
    params: fileParams,
    answer: 'stream',
    may: readers,
  },
  getRepositoryFile: {
    says: `read a file of a repository; Range: ${restic}`,
    params: fileParams,
    content: bytes,
    answer: 'stream',
    may: readers,
  },
  putRepositoryFile: {
    says: `write a file of a repository, whose name is its SHA-256: ${restic}`,
    params: fileParams,
    answer: 'stream',
    may: readers,
  },
  removeRepositoryFile: {
    says: `remove a file of a repository, which is a lock except for the run that prunes: ${restic}`,
    params: fileParams,
    answer: 'stream',
    may: readers,
  },
} satisfies Record<keyof typeof backupPaths, Call>

const run = { app: AppNameSchema, repository: RepositoryAccessSchema }

/** The calls of a node about backups. */
export const nodeBackupCalls = {
  backUpVolume: {
    says: 'copy a volume as it is at one moment, and have restic store it; fails with not-found if there is no data yet',
    params: volumeParams,
    body: z.strictObject({ ...run, why: z.string().max(50) }),
    answer: z.object({ backup: MadeBackupSchema }),
    may: admin,
  },
  restoreBackup: {
    says: 'restore a backup of the volume from beside a volume of this node, check it, and switch the volume to it while its app sleeps; what it had becomes the snapshot keep; keep left out: only check whether it can be done',
    params: volumeParams,
    body: z.strictObject({ ...run, from: VolumeIdSchema, backup: RestoredSchema, keep: SnapshotIdSchema.optional() }),
    answer: z.object({ ms: z.number(), heldMs: z.number(), kept: z.boolean(), bytes: z.number().optional() }),
    may: admin,
  },
  verifyBackup: {
    says: 'restore a backup to a temporary file, check its filesystem, and compare it with what was backed up',
    params: volumeParams,
    body: z.strictObject({ ...run, backup: RestoredSchema }),
    answer: z.object({ ms: z.number() }),
    may: admin,
  },
  pruneBackups: {
    says: 'delete the backups that these rules do not keep, and the data that no backup needs any more; answers with those that are there then',
    params: volumeParams,
    body: z.strictObject({ ...run, keep: KeepSchema }),
    answer: z.object({
      kept: z.array(
        z.object({ id: BackupIdSchema, at: z.string(), tags: z.array(z.string()), sizeBytes: z.number().optional() }),
      ),
    }),
    may: admin,
  },
} satisfies Record<keyof typeof nodeBackupPaths, Call>
