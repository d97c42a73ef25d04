import { z } from 'zod'
import { snapshotId } from '../model/names.ts'
import { CONSISTENCIES, SNAPSHOT_REASONS, SNAPSHOT_STATES, type Snapshot } from '../model/snapshot.ts'
import { parsed } from './parsed.ts'
import { AppNameSchema, described, NodeNameSchema, SizeSchema, VolumeDriverSchema, VolumeIdSchema } from './schemas.ts'

export const SnapshotIdSchema = parsed('SnapshotId', 'a DNS label', 'before-upgrade', snapshotId)

export const SnapshotSchema = described<Snapshot>(
  z.object({
    id: SnapshotIdSchema,
    volume: VolumeIdSchema,
    app: AppNameSchema,
    state: z
      .enum(SNAPSHOT_STATES)
      .describe('taking: not there yet; storing: its storage copies the bytes still; only a ready one can be used'),
    reason: z
      .enum(SNAPSHOT_REASONS)
      .describe('restore: it keeps what a restore has replaced; app: the app itself asked for it'),
    by: z.string().describe('the name of the token that asked for it'),
    note: z.string().optional(),
    takenAt: z.iso.datetime(),
    driver: VolumeDriverSchema.optional().describe('left out: loop'),
    node: NodeNameSchema.optional().describe('the node on whose disk it is'),
    consistent: z
      .enum(CONSISTENCIES)
      .optional()
      .describe('why nothing was written at its moment: the app was asleep, or its filesystem frozen'),
    frozenMs: z.number().optional().describe('for how long an awake app could not write'),
    size: SizeSchema.describe('the size of the volume'),
    bytes: z.number().optional().describe('what it takes of the storage, at most; left out where that does not tell'),
  }),
  'Snapshot',
)

export const TakenSchema = z.object({
  consistent: z.enum(CONSISTENCIES),
  frozenMs: z.number(),
  bytes: z.number().optional(),
})
