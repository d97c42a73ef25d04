import { z } from 'zod'
import type { RepositoryAccess } from '../../api/backup-schemas.ts'
import type { MasterClient } from '../../api/client.ts'
import type { Clock } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { BackupReason } from '../../model/backup.ts'
import { KEEP_RULES, type Keep } from '../../model/backup-policy.ts'
import type { VolumeId } from '../../model/names.ts'
import { repositoryProxy } from './repository-proxy.ts'
import type { Restic, ResticLine } from './restic.ts'

type Options = { readonly restic: Restic; readonly master: Pick<MasterClient, 'raw'>; readonly clock: Clock }
type Given = { readonly volume: VolumeId; readonly access: RepositoryAccess; readonly signal: AbortSignal }

/** The name of the image in each backup. */
export const IMAGE_IN_BACKUP = 'image.ext4'

/** The tag of backups that a person has asked for. */
const ASKED: BackupReason = 'asked'

/** What is stored of an image: the id of the backup, and what the repository has grown by. */
type Stored = { readonly id: string; readonly addedBytes: number }
/** Where the master's own words say better than restic's what is wrong. */
const OF_MASTER = ['backup-failed', 'secret-unreadable'] as const

/** The repositories of volumes, each used by restic for one run. */
export const repositories =
  ({ restic, master, clock }: Options) =>
  ({ volume, access, signal }: Given) => {
    const run = async (args: readonly string[], stdin?: number): Promise<readonly ResticLine[]> => {
      await restic.mustBeThere()
      await using proxy = await repositoryProxy({ master, volume, access, clock, signal })
      const { password } = access
      try {
        return await restic.run(args, { repository: { url: proxy.url, password }, stdin, signal })
      } catch (error) {
        throw isFailure(error, ...OF_MASTER) && proxy.problem !== undefined ? because(proxy.problem) : error
      }
    }

    return {
      /** Makes the repository, with the password of the run. */
      init: async (): Promise<void> => void (await run(['init', '--repository-version', '2'])),

      /** Stores the file as the backup of that moment. Its position must be at its begin. */
      async backUp(file: number, at: string, tags: readonly string[]): Promise<Stored> {
        const lines = await run(
          [
            ...['backup', '--stdin', '--stdin-filename', IMAGE_IN_BACKUP, '--host', volume],
            ...['--time', at.slice(0, 19).replace('T', ' ')],
            ...tags.flatMap(tag => ['--tag', tag]),
          ],
          file,
        )
        const summary = lines.find(line => line['message_type'] === 'summary')
        const id = summary?.['snapshot_id']
        if (typeof id !== 'string')
          throw new ShadowError('backup-failed', 'restic did not say which backup it has made')
        const added = Number(summary?.['data_added_packed'] ?? summary?.['data_added'] ?? 0)
        return { id: await wholeId(id), addedBytes: added }
      },

      /** Writes the image of the backup to `<folder>/image.ext4`, with its holes. */
      async restore(backup: string, folder: string): Promise<void> {
        await run(['restore', backup, '--no-lock', '--target', folder, '--sparse'])
      },

      /** Forgets the backups that the rules do not keep, and removes the data that no backup needs. */
      async prune(keep: Keep): Promise<{ kept: readonly KeptBackup[]; removed: number }> {
        const rules = KEEP_RULES.flatMap(rule => (keep[rule] === undefined ? [] : [`--keep-${rule}`, `${keep[rule]}`]))
        // All backups of the repository are of one image.
        const lines = await run(['forget', '--group-by', '', '--keep-tag', ASKED, ...rules, '--prune'])
        const groups = lines.flatMap(line => ForgottenSchema.safeParse(line).data ?? [])
        return {
          kept: groups.flatMap(({ keep: snapshots }) => snapshots.map(keptOf)),
          removed: groups.reduce((sum, { remove }) => sum + (remove?.length ?? 0), 0),
        }
      },
    }

    /** restic's summary may have the short form of an id. */
    async function wholeId(id: string): Promise<string> {
      if (id.length === 64) return id
      const lines = await run(['snapshots', '--no-lock', id])
      return String(lines.find(line => String(line['id']).startsWith(id))?.['id'] ?? id)
    }
  }

const SnapshotSchema = z.object({
  id: z.string().length(64),
  time: z.string(),
  tags: z.array(z.string()).nullish(),
  summary: z.object({ total_bytes_processed: z.number() }).optional(),
})
/** What `restic forget --json` prints of each group. */
const ForgottenSchema = z.object({ keep: z.array(SnapshotSchema), remove: z.array(SnapshotSchema).nullable() })

/** A backup as the repository has it. */
export type KeptBackup = { id: string; at: string; tags: string[]; sizeBytes?: number | undefined }

const keptOf = ({ id, time, tags, summary }: z.output<typeof SnapshotSchema>): KeptBackup => ({
  id,
  at: new Date(time).toISOString(),
  tags: tags ?? [],
  ...(summary && { sizeBytes: summary.total_bytes_processed }),
})

const because = (problem: ShadowError): ShadowError =>
  isFailure(problem, 'internal')
    ? new ShadowError('backup-failed', `the backups cannot be reached: ${problem.message}`, { cause: problem })
    : problem
