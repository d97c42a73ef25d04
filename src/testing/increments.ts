import { isFailure } from '../lib/errors.ts'
import type { Storage } from '../master/storage/storage.ts'

/** Adds one this many times, and tries again whenever another writer was faster. */
export async function increments(storage: Storage, key: string, times: number): Promise<void> {
  for (let done = 0; done < times; ) {
    const now = await storage.get(key)
    try {
      await storage.update(key, { n: (now!.value as { n: number }).n + 1 }, now!.etag)
      done++
    } catch (error) {
      if (!isFailure(error, 'changed')) throw error
      await new Promise(resolve => setTimeout(resolve, Math.random() * 20))
    }
  }
}
