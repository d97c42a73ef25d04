import { z } from 'zod'
import { pause } from '../../lib/abort.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Storage } from '../storage/storage.ts'
import type { StoreCollection } from '../store-collection.ts'

/** No key of the images themselves. */
const KEY = 'images/_collection.json'
const LOOKS_EVERY_MS = 900_000
const OLDER_THAN_MS = 86_400_000

const CollectedSchema = z.object({ at: z.iso.datetime() })

type Parts = {
  readonly collection: Pick<StoreCollection, 'collect'>
  readonly storage: Storage
  /** How often it is done, in milliseconds, by one of the masters; undefined: never. */
  readonly every: number | undefined
  readonly clock: Clock
  readonly log: Log
}

/** Collects images and sources from time to time, until the signal aborts. Of several masters, the first to write that it does it collects. */
export async function collectDaily(
  { collection, storage, every, clock, log }: Parts,
  signal: AbortSignal,
): Promise<void> {
  if (every === undefined) return
  while (!signal.aborted) {
    await pause(clock, LOOKS_EVERY_MS, signal).catch(() => undefined) // an abort ends the loop
    if (signal.aborted) return
    try {
      if (await isDue(storage, every, clock)) await collection.collect(OLDER_THAN_MS, { dryRun: false })
    } catch (cause) {
      log.warn('images and sources not collected; the next time is tried again', { cause })
    }
  }
}

/** Whether this master shall collect now. The first time begins one period after the first master has started. */
async function isDue(storage: Storage, every: number, clock: Clock): Promise<boolean> {
  const stored = await storage.get(KEY)
  const now = { at: timestamp(clock) }
  try {
    if (stored === undefined) {
      await storage.create(KEY, now)
      return false
    }
    if (clock.wall() - Date.parse(CollectedSchema.parse(stored.value).at) < every) return false
    await storage.update(KEY, now, stored.etag)
    return true
  } catch (error) {
    if (isFailure(error, 'already-exists', 'changed')) return false // another master does it
    throw error
  }
}
