/** The paths of the master's calls about backups. */
export const backupPaths = {
  backUpApp: 'POST /v1/apps/:app/backups',
  listBackups: 'GET /v1/apps/:app/backups',
  removeBackups: 'DELETE /v1/apps/:app/backups',
  getBackupKey: 'GET /v1/apps/:app/backups/key',
  verifyBackup: 'POST /v1/apps/:app/backups/verify',
  pruneBackups: 'POST /v1/apps/:app/backups/prune',
  setBackupPolicy: 'PUT /v1/apps/:app/backups/policy',
  removeBackup: 'DELETE /v1/apps/:app/backups/:backup',
  restoreApp: 'POST /v1/apps/:app/restore',
  // restic's REST protocol, below /v1/repositories/:volume/. HEAD comes before GET: express answers HEAD with the first route that fits.
  createRepository: 'POST /v1/repositories/:volume',
  headRepositoryConfig: 'HEAD /v1/repositories/:volume/config',
  getRepositoryConfig: 'GET /v1/repositories/:volume/config',
  putRepositoryConfig: 'POST /v1/repositories/:volume/config',
  listRepositoryFiles: 'GET /v1/repositories/:volume/:type',
  headRepositoryFile: 'HEAD /v1/repositories/:volume/:type/:name',
  getRepositoryFile: 'GET /v1/repositories/:volume/:type/:name',
  putRepositoryFile: 'POST /v1/repositories/:volume/:type/:name',
  removeRepositoryFile: 'DELETE /v1/repositories/:volume/:type/:name',
} as const

/** The paths of a node's calls about backups. */
export const nodeBackupPaths = {
  backUpVolume: 'POST /v1/repositories/:volume/backup',
  restoreBackup: 'POST /v1/repositories/:volume/restore',
  verifyBackup: 'POST /v1/repositories/:volume/verify',
  pruneBackups: 'POST /v1/repositories/:volume/prune',
} as const

/** A node shows this to the master with each request for a file of a repository: which run it works for. */
export const GRANT_HEADER = 'x-shadow-backup-run'
