import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { AppName, VolumeId } from '../../model/names.ts'
import { toBytes } from '../../model/quantities.ts'
import { driverOf } from '../../model/task.ts'
import { sumOfUsage, type UsageCounters } from '../../model/usage.ts'
import type { BackupRecords } from '../backups/records.ts'
import type { Storage } from '../storage/storage.ts'
import { volumeDocuments } from '../volume-documents.ts'
import type { UsageRecords } from './records.ts'

type Parts = {
  readonly usage: Pick<UsageRecords, 'addOfMasters'>
  readonly backups: Pick<BackupRecords, 'versions' | 'read'>
  readonly storage: Storage
  readonly clock: Clock
  readonly log: Log
}

const GIB = 2 ** 30
const HOUR_MS = 3_600_000
const LOOKS_EVERY_MS = 600_000
const COUNTED_EVERY = { leastMs: 590_000, mostMs: 1_800_000 }
const PAGE = 1_000
const AT_ONCE = 16

/**
 * Counts the time of what no node can count: backups, and volumes whose storage is not the disk of one node, by the size that was asked for. Every
 * master does so until the signal aborts; the conditional write of the day's document decides which of them counts a piece of time.
 */
export async function countStored(parts: Parts, signal: AbortSignal): Promise<void> {
  const { usage, clock, log } = parts
  const backups = cached(
    () => parts.backups.versions(),
    async volume => {
      const record = await parts.backups.read(volume)
      return { backup: record?.storedBytes ?? 0 }
    },
  )
  const { read } = volumeDocuments(parts.storage)
  const volumes = cached(
    () => volumeVersions(parts.storage),
    async id => {
      const { volume } = await read(id)
      return { volume: volume === null || driverOf(volume) === 'loop' ? 0 : toBytes(volume.size) }
    },
  )
  while (!signal.aborted) {
    try {
      const stored = [...(await backups()), ...(await volumes())]
      if (stored.length > 0) await usage.addOfMasters(clock.wall(), COUNTED_EVERY, ms => usedIn(ms, stored))
    } catch (cause) {
      // Another master has counted it.
      if (!isFailure(cause, 'changed', 'already-exists')) log.warn('what is stored was not counted', { cause })
    }
    await pause(clock, LOOKS_EVERY_MS, signal).catch(() => undefined) // an abort ends the loop at its head
  }
}

type Bytes = { readonly backup?: number; readonly volume?: number }
/** A volume has the name of its app. */
type Stored = readonly [volume: VolumeId, bytes: Bytes]

function usedIn(ms: number, stored: readonly Stored[]): ReadonlyMap<AppName, Partial<UsageCounters>> {
  const sums = new Map<AppName, Partial<UsageCounters>>()
  const hours = (bytes = 0): number => ((bytes / GIB) * ms) / HOUR_MS
  for (const [volume, { backup, volume: bytes }] of stored) {
    const app = volume as string as AppName
    const used = { backupGiBHours: hours(backup), volumeGiBHours: hours(bytes) }
    sums.set(app, sumOfUsage(sums.get(app) ?? {}, used))
  }
  return sums
}

/** What there is, without what takes nothing. A document is read again when it has changed. */
function cached(versions: () => Promise<ReadonlyMap<VolumeId, string>>, read: (id: VolumeId) => Promise<Bytes>) {
  const known = new Map<VolumeId, { readonly etag: string; readonly bytes: Bytes }>()
  return async (): Promise<readonly Stored[]> => {
    const now = await versions()
    for (const id of known.keys()) if (!now.has(id)) known.delete(id)
    const changed = [...now].filter(([id, etag]) => known.get(id)?.etag !== etag)
    await mapAtMost(AT_ONCE, changed, async ([id, etag]) => void known.set(id, { etag, bytes: await read(id) }))
    return [...known].flatMap(([id, { bytes }]): Stored[] =>
      (bytes.backup ?? 0) + (bytes.volume ?? 0) > 0 ? [[id, bytes]] : [],
    )
  }
}

async function volumeVersions(storage: Storage): Promise<ReadonlyMap<VolumeId, string>> {
  const found = new Map<VolumeId, string>()
  let after: string | undefined
  do {
    const page = await storage.versions('volumes/', { after, limit: PAGE })
    for (const [key, etag] of page) found.set(key.slice('volumes/'.length, -'.json'.length) as VolumeId, etag)
    after = page.size === PAGE ? [...page.keys()].at(-1) : undefined
  } while (after !== undefined)
  return found
}
