import { z } from 'zod'

/** What a list of volumes tells of the snapshots of one. */
export const SnapshotFactsSchema = z
  .object({
    count: z.int(),
    bytes: z.number().describe('what they take of the storage of the volume, at most'),
    newestAt: z.iso.datetime(),
    undoAt: z.iso.datetime().optional().describe('when the last restore was made, while it can be undone'),
    undoBytes: z.number().optional().describe('what of bytes is kept to undo restores'),
  })
  .optional()
  .describe('left out: it has none')

/** What a list of volumes tells of the backups of one. */
export const BackupFactsSchema = z
  .object({
    count: z.int(),
    bytes: z.number().describe('what they take of the store'),
    newestAt: z.iso.datetime().optional(),
    verifiedAt: z.iso.datetime().optional().describe('when one was last restored for a test, and was whole'),
    isFailing: z.boolean().describe('the last backup, test or pruning failed'),
  })
  .optional()
  .describe('left out: it has none')
