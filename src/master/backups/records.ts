import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { BackupPolicySchema, BackupSchema } from '../../api/backup-schemas.ts'
import { ProblemSchema } from '../../api/problem-schema.ts'
import { NodeNameSchema } from '../../api/schemas.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Seals } from '../../lib/seals.ts'
import { BACKUP_RUNS } from '../../model/backup.ts'
import type { VolumeId } from '../../model/names.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'

const RunSchema = z.object({
  id: z.string(),
  kind: z.enum(BACKUP_RUNS),
  node: NodeNameSchema,
  since: z.iso.datetime(),
  /** A run whose master has not renewed it until then has ended: that master was killed. */
  until: z.iso.datetime(),
})

/** The document of the backups of a volume. What it says of the repository may lag behind: the repository itself decides. */
const RecordSchema = z.object({
  /** The password of the repository, encrypted. */
  sealedKey: z.string(),
  /** The newest first. */
  backups: z.array(BackupSchema),
  storedBytes: z.number(),
  policy: BackupPolicySchema.nullable(),
  prunedAt: z.iso.datetime().nullable(),
  run: RunSchema.nullable(),
  verified: z.object({ backup: z.string(), at: z.iso.datetime() }).nullable(),
  failure: z.object({ kind: z.enum(BACKUP_RUNS), at: z.iso.datetime(), problem: ProblemSchema }).nullable(),
})

export type BackupRecord = z.output<typeof RecordSchema>
export type BackupRecords = ReturnType<typeof backupRecords>

const PREFIX = 'backup-records/'
const KEY_BYTES = 32
const PAGE = 1_000

/** The key of the document of the backups of the volume. */
export const backupRecordKey = (volume: VolumeId): string => `${PREFIX}${volume}.json`
/** The volume of such a document; undefined for any other key. */
export const volumeOfRecord = (key: string): VolumeId | undefined =>
  key.startsWith(PREFIX) ? (key.slice(PREFIX.length, -'.json'.length) as VolumeId) : undefined

/** The documents of backups, one for each volume that was ever backed up. They outlive the volume. */
export function backupRecords({ storage, seals }: { storage: Storage; seals: Seals }) {
  const read = async (volume: VolumeId) => {
    const stored = await storage.get(backupRecordKey(volume))
    return stored && { record: RecordSchema.parse(stored.value), etag: stored.etag }
  }

  /** A record without backups, with a key of its own. */
  const begun = (volume: VolumeId): BackupRecord => ({
    sealedKey: seals.seal(randomBytes(KEY_BYTES).toString('base64url'), contextOf(volume)),
    backups: [],
    storedBytes: 0,
    policy: null,
    prunedAt: null,
    run: null,
    verified: null,
    failure: null,
  })

  return {
    /** The record; undefined if the volume was never backed up. */
    read: async (volume: VolumeId): Promise<BackupRecord | undefined> => (await read(volume))?.record,

    /** The record, and its version. */
    readWithVersion: read,

    /** As `read`; fails with `not-found`. */
    async mustRead(volume: VolumeId): Promise<BackupRecord> {
      const found = await read(volume)
      if (found === undefined) throw noBackups(volume)
      return found.record
    },

    /** Changes the record by one conditional write; `next` is asked again where another write came first. */
    change: (
      volume: VolumeId,
      next: (now: BackupRecord) => BackupRecord | undefined,
      { creates = false } = {},
    ): Promise<void> =>
      retryOnConflict(async () => {
        const now = await read(volume)
        if (now === undefined && !creates) throw noBackups(volume)
        const then = next(now?.record ?? begun(volume))
        if (then === undefined) return
        await (now === undefined
          ? storage.create(backupRecordKey(volume), then)
          : storage.update(backupRecordKey(volume), then, now.etag))
      }),

    /** The volumes that have a record, with its version. */
    async versions(): Promise<ReadonlyMap<VolumeId, string>> {
      const found = new Map<VolumeId, string>()
      let after: string | undefined
      do {
        const page = await storage.versions(PREFIX, { after, limit: PAGE })
        for (const [key, etag] of page) found.set(key.slice(PREFIX.length, -'.json'.length) as VolumeId, etag)
        after = page.size === PAGE ? [...page.keys()].at(-1) : undefined
      } while (after !== undefined)
      return found
    },

    remove: (volume: VolumeId): Promise<void> => storage.remove(backupRecordKey(volume)),

    /** The password of the repository. Fails with `secret-unreadable`. */
    passwordOf: (volume: VolumeId, { sealedKey }: BackupRecord): string => seals.open(sealedKey, contextOf(volume)),
  }
}

const contextOf = (volume: VolumeId): string => `the key of the backups of ${volume}`

/** The record with its key encrypted with the newest key of the masters; undefined if it is already. */
export function resealedBackups(key: string, value: object, seals: Seals): object | undefined {
  const { sealedKey } = value as { sealedKey: string }
  if (seals.isCurrent(sealedKey)) return undefined
  const context = contextOf(key.slice(PREFIX.length, -'.json'.length) as VolumeId)
  return { ...value, sealedKey: seals.seal(seals.open(sealedKey, context), context) }
}

const noBackups = (volume: VolumeId): ShadowError =>
  new ShadowError('not-found', `there are no backups of ${volume}`, { hint: `shadow backup ${volume}` })
