/** The calls about files of apps, of the master. */
export const filePaths = {
  statFile: 'GET /v1/apps/:app/files/stat',
  readFiles: 'GET /v1/apps/:app/files',
  writeFiles: 'PUT /v1/apps/:app/files',
} as const

/** The same of a node. */
export const nodeFilePaths = {
  statFile: 'GET /v1/instances/:instance/files/stat',
  readFiles: 'GET /v1/instances/:instance/files',
  writeFiles: 'PUT /v1/instances/:instance/files',
} as const
