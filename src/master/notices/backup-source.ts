import { sayMs } from '../../model/quantities.ts'
import type { BackupSchedule } from '../backups/schedule.ts'
import type { Source } from './source.ts'

const NAME = 'backup'
const LOOKED_EVERY_MS = 60_000

/** Volumes whose newest backup is older than two periods of their policy, or that have none though one was tried. */
export function backupSource({ late }: Pick<BackupSchedule, 'late'>): Source {
  return {
    name: NAME,
    everyMs: LOOKED_EVERY_MS,
    async look() {
      const volumes = late()
      if (volumes === undefined) return undefined
      const conditions = volumes.map(({ app, backupAt, everyMs, failure }) => {
        const newest =
          backupAt === undefined
            ? 'there is no backup'
            : `the newest backup is of ${new Date(backupAt).toISOString()}, though there should be one every ${sayMs(everyMs)}`
        return {
          key: `${NAME} ${app}`,
          mark: `${backupAt ?? 'none'}`,
          at: undefined,
          kind: 'backup' as const,
          app,
          subject: `the backup of ${app} is too old`,
          detail: failure === undefined ? newest : `${newest}; the last try failed: ${failure.detail}`,
          code: failure?.code,
        }
      })
      return { conditions }
    },
  }
}
