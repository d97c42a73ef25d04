import type { HandlerInput } from '../../api/call-shape.ts'
import type { nodeCalls } from '../../api/node-calls.ts'
import type { VolumeBackups } from './volume-backups.ts'

type Stream = { readonly signal: AbortSignal; readonly permit: string | undefined }
type Input<Name extends keyof typeof nodeCalls> = HandlerInput<(typeof nodeCalls)[Name]>

/** The handlers of a node's calls about backups. */
export const backupHandlers = (backups: VolumeBackups, ending: AbortSignal) => ({
  backUpVolume: async ({ params, body }: Input<'backUpVolume'>, stream: Stream) => {
    const { app, repository, why } = body
    return { backup: await backups.backUp({ ...params, app, why, access: repository, ...until(stream, ending) }) }
  },
  verifyBackup: async ({ params, body }: Input<'verifyBackup'>, stream: Stream) => {
    const { app, repository, backup } = body
    return backups.verify({ ...params, app, backup, access: repository, ...until(stream, ending) })
  },
  pruneBackups: async ({ params, body }: Input<'pruneBackups'>, stream: Stream) => {
    const { app, repository, keep } = body
    return { kept: [...(await backups.prune({ ...params, app, keep, access: repository, ...until(stream, ending) }))] }
  },
  restoreBackup: async ({ params, body: { repository, ...body } }: Input<'restoreBackup'>, stream: Stream) =>
    backups.restore({ ...params, ...body, access: repository, ...until(stream, ending) }),
})

const until = ({ signal, permit }: Stream, ending: AbortSignal) => ({
  permit,
  signal: AbortSignal.any([signal, ending]),
})
