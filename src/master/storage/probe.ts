import { randomUUID } from 'node:crypto'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { Storage } from './storage.ts'

const RACERS = 4

/** Tests whether the store honours the conditions of writes: some stores silently ignore them. Fails with `storage-unfit`. */
export async function probe(storage: Storage): Promise<void> {
  const key = `probe/${randomUUID()}.json`
  const unfit = (what: string): ShadowError =>
    new ShadowError('storage-unfit', `${storage.name} ${what}: two masters would overwrite each other`, {
      hint: 'use a store with conditional writes, such as AWS S3, MinIO or a directory',
    })
  try {
    const races = await Promise.allSettled(Array.from({ length: RACERS }, () => storage.create(key, {})))
    const winners = races.filter(race => race.status === 'fulfilled')
    const odd = races.find(race => race.status === 'rejected' && !isFailure(race.reason, 'already-exists'))
    if (odd?.status === 'rejected') throw odd.reason
    const first = winners[0]
    if (first === undefined || winners.length > 1) throw unfit('ignores If-None-Match')
    await storage.update(key, {}, first.value)
    const again = await storage.update(key, {}, first.value).catch((error: unknown) => {
      if (isFailure(error, 'changed')) return undefined
      throw error
    })
    if (again !== undefined) throw unfit('ignores If-Match')
  } finally {
    await storage.remove(key).catch(() => undefined) // the error before this one matters; a probe document that stays does no harm
  }
}
