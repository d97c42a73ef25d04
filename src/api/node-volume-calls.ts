import { z } from 'zod'
import { PHASES } from '../model/instance.ts'
import { admin, type Call, volumeParams } from './call-shape.ts'
import { AppNameSchema, VolumeDriverSchema, VolumeIdSchema } from './schemas.ts'
import type { nodeVolumePaths } from './volume-paths.ts'
import { SnapshotIdSchema, TakenSchema } from './volume-schemas.ts'

const snapshotParams = volumeParams.extend({ snapshot: SnapshotIdSchema })
const ofDriver = z.strictObject({ driver: VolumeDriverSchema.optional() })

/** The calls of a node about snapshots of the volumes that it reaches. Masters keep the records of them. */
export const nodeVolumeCalls = {
  takeSnapshot: {
    says: 'take a snapshot of the volume of an app, without waking the app; a call that fails leaves none',
    params: snapshotParams,
    query: z.strictObject({ app: AppNameSchema }),
    answer: TakenSchema,
    may: admin,
  },
  finishSnapshot: {
    says: 'wait until the storage has all bytes of a snapshot; driver left out: loop',
    params: snapshotParams,
    query: ofDriver,
    answer: 'nothing',
    may: admin,
  },
  listSnapshots: {
    says: 'list the snapshots of a volume that are there; driver left out: loop',
    params: volumeParams,
    query: ofDriver,
    answer: z.object({ items: z.array(z.object({ id: SnapshotIdSchema, bytes: z.number().optional() })) }),
    may: admin,
  },
  removeSnapshot: {
    says: 'delete a snapshot; driver left out: loop',
    params: snapshotParams,
    query: ofDriver,
    answer: 'nothing',
    may: admin,
  },
  restoreVolume: {
    says: 'put an app to sleep, and give its volume the bytes of a snapshot by one step; its old bytes become the snapshot keep',
    params: volumeParams,
    body: z.strictObject({ app: AppNameSchema, snapshot: SnapshotIdSchema, keep: SnapshotIdSchema }),
    answer: z.object({ kept: z.boolean(), heldMs: z.number(), bytes: z.number().optional() }),
    may: admin,
  },
  forkVolume: {
    says: 'make this volume from a snapshot of the volume from, by the import that the master has begun, and take it over',
    params: volumeParams,
    body: z.strictObject({
      move: z.string(),
      driver: VolumeDriverSchema.optional(),
      from: z.strictObject({ volume: VolumeIdSchema, id: SnapshotIdSchema }),
      sizeBytes: z.number(),
    }),
    answer: 'nothing',
    may: admin,
  },
  growVolume: {
    says: 'read the definition of an app anew, wait until it is applied, and tell how large its volume is then',
    params: volumeParams,
    body: z.strictObject({ app: AppNameSchema }),
    answer: z.object({ phase: z.enum(PHASES), sizeBytes: z.number().optional() }),
    may: admin,
  },
} satisfies Record<keyof typeof nodeVolumePaths, Call>
