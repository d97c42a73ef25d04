import type { Clock } from '../../lib/clock.ts'
import { isFailure, type ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { repeat } from '../../lib/repeat.ts'
import { probe } from './probe.ts'
import type { Storage } from './storage.ts'

/** @internal */
export const PROBED_EVERY_MS = 600_000

/**
 * The storage, which is probed again every ten minutes: a gateway in front of a store, or another store at its address, may lose the
 * conditions of writes while masters run. From then on every write fails with `storage-unfit`, until a probe finds them honoured. Reads go on.
 */
export function probed(storage: Storage, { clock, log }: { readonly clock: Clock; readonly log: Log }): Storage {
  let unfit: ShadowError | undefined
  const look = async (): Promise<void> => {
    try {
      await probe(storage)
      if (unfit !== undefined) log.info('storage honours conditions of writes again', { storage: storage.name })
      unfit = undefined
    } catch (error) {
      if (!isFailure(error, 'storage-unfit')) throw error
      if (unfit === undefined) log.error('storage lost conditions of writes; nothing is written', { cause: error })
      unfit = error
    }
  }
  // A store that does not answer says nothing about conditions.
  const probes = repeat(clock, PROBED_EVERY_MS, look, cause => log.debug('storage not probed', { cause }))
  const written = async <T>(write: () => Promise<T>): Promise<T> => {
    if (unfit !== undefined) throw unfit
    return write()
  }
  return {
    name: storage.name,
    get: storage.get,
    list: storage.list,
    versions: storage.versions,
    create: (key, value) => written(() => storage.create(key, value)),
    update: (key, value, etag) => written(() => storage.update(key, value, etag)),
    remove: key => written(() => storage.remove(key)),
    async close() {
      probes[Symbol.dispose]()
      await storage.close()
    },
  }
}
