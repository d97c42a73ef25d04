/** The calls of the master about snapshots and copies of volumes. */
export const volumePaths = {
  takeSnapshot: 'POST /v1/volumes/:volume/snapshots',
  listSnapshots: 'GET /v1/volumes/:volume/snapshots',
  removeSnapshot: 'DELETE /v1/volumes/:volume/snapshots/:snapshot',
  restoreVolume: 'POST /v1/volumes/:volume/restore',
  forkVolume: 'POST /v1/volumes/:volume/fork',
  forkApp: 'POST /v1/apps/:app/fork',
  growVolume: 'POST /v1/volumes/:volume/grow',
} as const

/** The same of a node. */
export const nodeVolumePaths = {
  takeSnapshot: 'POST /v1/volumes/:volume/snapshots/:snapshot',
  listSnapshots: 'GET /v1/volumes/:volume/snapshots',
  finishSnapshot: 'POST /v1/volumes/:volume/snapshots/:snapshot/finish',
  removeSnapshot: 'DELETE /v1/volumes/:volume/snapshots/:snapshot',
  restoreVolume: 'POST /v1/volumes/:volume/restore',
  forkVolume: 'POST /v1/volumes/:volume/fork',
  growVolume: 'POST /v1/volumes/:volume/grow',
} as const
