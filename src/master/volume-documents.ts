import { z } from 'zod'
import { NodeNameSchema, SizeSchema, VolumeDriverSchema, VolumeSchema } from '../api/schemas.ts'
import type { Volume } from '../model/app.ts'
import type { NodeName, VolumeId } from '../model/names.ts'
import type { Size } from '../model/quantities.ts'
import type { VolumeDriver } from '../model/task.ts'
import { retryOnConflict } from './retry.ts'
import type { Storage } from './storage/storage.ts'

/**
 * The epoch keeps growing after the volume is removed, so an old lease is never taken for a new one. `places` lists all nodes
 * that ever had a lease of the volume: they may still have its data after the lease was given up. `disk` tells the bytes of a lease that
 * does not expire from those that another machine of the same name may have.
 */
const StoredSchema = z.object({
  volume: VolumeSchema.nullable(),
  epoch: z.int(),
  places: z.array(NodeNameSchema).optional(),
  disk: z.string().optional(),
  erasing: z.object({ of: z.string(), until: z.iso.datetime() }).optional(),
  moving: z
    .object({
      id: z.string(),
      from: NodeNameSchema.nullable(),
      to: NodeNameSchema,
      makes: z
        .object({ size: SizeSchema, driver: VolumeDriverSchema.optional(), zone: z.string().optional() })
        .optional(),
    })
    .optional(),
})
export type Stored = {
  readonly volume: Volume | null
  readonly epoch: number
  readonly places?: readonly NodeName[] | undefined
  readonly disk?: string | undefined
  readonly erasing?: Erasing | undefined
  readonly moving?: Moving | undefined
}
/**
 * The data is being deleted: until then no node is given a new lease, so nobody can write what would be deleted too. `of`: when the app was
 * registered that has the data, or had it last.
 */
type Erasing = { readonly of: string; readonly until: string }
/**
 * A move of the volume that is under way, until the new node takes the lease over, or the old one asks for its lease. Without an old node
 * it is an import, which makes the volume.
 */
export type Moving = {
  readonly id: string
  readonly from: NodeName | null
  readonly to: NodeName
  readonly makes?:
    | { readonly size: Size; readonly driver?: VolumeDriver | undefined; readonly zone?: string | undefined }
    | undefined
}
type Read = Stored & { readonly etag: string | undefined }

export type VolumeDocuments = ReturnType<typeof volumeDocuments>

export const volumeKey = (id: VolumeId): string => `volumes/${id}.json`

/** The documents of volumes. Each change is one conditional write, and is thought through anew where another one came first. */
export function volumeDocuments(storage: Storage) {
  const read = async (id: VolumeId): Promise<Read> => {
    const stored = await storage.get(volumeKey(id))
    if (stored === undefined) return { volume: null, epoch: 0, etag: undefined }
    return { ...(StoredSchema.parse(stored.value) as Stored), etag: stored.etag }
  }

  const write = async (id: VolumeId, value: Stored, over: Read): Promise<void> => {
    const { volume, epoch, places, disk, erasing, moving } = value
    const document = {
      volume,
      epoch,
      ...(places !== undefined && { places }),
      ...(disk !== undefined && { disk }),
      ...(erasing !== undefined && { erasing }),
      ...(moving !== undefined && { moving }),
    }
    await (over.etag === undefined
      ? storage.create(volumeKey(id), document)
      : storage.update(volumeKey(id), document, over.etag))
  }

  const change = (id: VolumeId, next: (now: Read) => Stored | undefined): Promise<void> =>
    retryOnConflict(async () => {
      const now = await read(id)
      const then = next(now)
      if (then !== undefined) await write(id, then, now)
    })

  return { read, change }
}
