import type { Handlers } from '../call.ts'
import type { AppBackups } from './app-backups.ts'
import type { RepositoryFiles } from './repository-files.ts'
import { repositoryHandlers } from './rest.ts'
import type { BackupRuns } from './runs.ts'

export type BackupParts = { backups: AppBackups; files: RepositoryFiles; runs: BackupRuns }

/** The handlers of the calls about backups. */
export function backupHandlers({ backups, files, runs }: BackupParts) {
  return {
    backUpApp: async ({ params }, { signal }) => ({
      value: { backup: await backups.backUp(params.app, 'asked', signal) },
    }),
    listBackups: async ({ params }) => ({ value: await backups.list(params.app) }),
    removeBackups: ({ params }, { signal }) => backups.removeAll(params.app, signal),
    getBackupKey: async ({ params }) => ({ value: await backups.keyOf(params.app) }),
    verifyBackup: async ({ params }, { signal }) => ({ value: await backups.verify(params.app, signal) }),
    pruneBackups: async ({ params }, { signal }) => ({ value: await backups.prune(params.app, signal) }),
    setBackupPolicy: async ({ params, body }) => ({ value: await backups.setPolicy(params.app, body.policy) }),
    removeBackup: ({ params }, { signal }) => backups.remove(params.app, params.backup, signal),
    restoreApp: async ({ params, body }, { caller, signal }) => ({
      value: await backups.restore(params.app, { ...body, by: caller?.name ?? 'nobody' }, signal),
    }),
    ...repositoryHandlers({ files, runs }),
  } satisfies Partial<Handlers>
}
