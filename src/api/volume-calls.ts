import { z } from 'zod'
import { PHASES } from '../model/instance.ts'
import { admin, appParams, type Call, flag, volumeParams } from './call-shape.ts'
import { AppNameSchema, AppSchema, HostnameSchema, SizeSchema, VolumeIdSchema, VolumeSchema } from './schemas.ts'
import type { volumePaths } from './volume-paths.ts'
import { SnapshotIdSchema, SnapshotSchema } from './volume-schemas.ts'

const snapshotParams = volumeParams.extend({ snapshot: SnapshotIdSchema })

/** The calls of the master about snapshots of volumes. */
export const volumeCalls = {
  takeSnapshot: {
    says: 'take a snapshot of the volume of an app, and wait until its storage has it; an app that is asleep is not woken, and one that is awake serves on: its writes wait for a moment; name left out: the time; keep: remove older ones afterwards, so that so many are left; fails with freeze-too-long if writes would have to wait for more than 10 s; a node asks for it on behalf of the app itself, and then only snapshots of that kind count and are removed',
    params: volumeParams,
    body: z.strictObject({
      name: SnapshotIdSchema.optional(),
      note: z.string().max(200).optional(),
      keep: z.int().min(1).max(100).optional(),
    }),
    answer: SnapshotSchema,
    status: 201,
    may: ['admin', 'node'],
  },
  listSnapshots: {
    says: 'list the snapshots of a volume, the newest first; those of a volume that was removed are gone',
    params: volumeParams,
    answer: z.object({ items: z.array(SnapshotSchema) }),
    may: admin,
  },
  removeSnapshot: {
    says: 'delete a snapshot; dryRun=true changes nothing',
    params: snapshotParams,
    query: z.strictObject({ dryRun: flag }),
    answer: SnapshotSchema,
    may: admin,
  },
  restoreVolume: {
    says: 'give the volume of an app the bytes of a snapshot, by one step, for which the app is put to sleep; requests wait meanwhile, and the next one wakes it; what the volume had becomes a snapshot, kept, so that the restore can be undone; dryRun changes nothing',
    params: volumeParams,
    body: z.strictObject({ snapshot: SnapshotIdSchema, dryRun: z.boolean().default(false) }),
    answer: z.object({
      restored: z.boolean().describe('false for a dry run'),
      snapshot: SnapshotSchema,
      kept: SnapshotIdSchema.nullable().describe('the snapshot of what the volume had; null if it had no data'),
      heldMs: z.number().optional().describe('for how long the app could not serve'),
    }),
    may: admin,
  },
  forkVolume: {
    says: 'make a volume, which no app has yet, from a snapshot of another one; snapshot left out: from a new one, which is removed afterwards; fails with already-exists if there is a volume or an app of this name',
    params: volumeParams,
    body: z.strictObject({ name: VolumeIdSchema, snapshot: SnapshotIdSchema.optional() }),
    answer: VolumeSchema,
    status: 201,
    may: admin,
  },
  forkApp: {
    says: 'register another app with the definition, the environment, the access rules and the data of this one, which serves on; domains left out: those that follow from its name; snapshot left out: its data is that of now',
    params: appParams,
    query: z.strictObject({ env: z.enum(['values', 'digests']).default('digests') }),
    body: z.strictObject({
      name: AppNameSchema,
      domains: z.array(HostnameSchema).max(100).optional(),
      snapshot: SnapshotIdSchema.optional(),
    }),
    answer: AppSchema,
    status: 201,
    may: admin,
  },
  growVolume: {
    says: 'make the volume of an app larger, which makes a revision, as updateApp does; an app that is awake serves on, unless the driver has to detach the volume for that; one that is asleep gets it at its next wake; fails with bad-input if the volume is larger than that',
    params: volumeParams,
    body: z.strictObject({ size: SizeSchema }),
    answer: z.object({
      app: AppNameSchema,
      size: SizeSchema,
      phase: z.enum(PHASES).nullable().describe('of the app; null if its node does not answer'),
      sizeBytes: z.number().optional().describe('the size of the filesystem now, where the app is awake'),
    }),
    may: admin,
  },
} satisfies Record<keyof typeof volumePaths, Call>
