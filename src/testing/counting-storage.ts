import { storageAround } from '../master/storage/around.ts'
import type { Storage } from '../master/storage/storage.ts'

type Counting = {
  readonly storage: Storage
  /** The names of the calls that were made to it. */
  readonly calls: string[]
  /** Resolves when no call is under way, and none follows from those that were. */
  settled(): Promise<void>
}

/** Turns of the event loop in which a call may follow from the one before. */
const QUIET_TURNS = 10

/** The storage, with what is called of it. */
export function countingStorage(storage: Storage): Counting {
  const calls: string[] = []
  let underWay = 0
  const counted = async <T>(request: () => Promise<T>, operation: string): Promise<T> => {
    calls.push(operation)
    underWay++
    try {
      return await request()
    } finally {
      underWay--
    }
  }
  return {
    calls,
    async settled() {
      for (let quiet = 0; quiet < QUIET_TURNS; quiet = underWay === 0 ? quiet + 1 : 0) await new Promise(setImmediate)
    },
    storage: storageAround(storage, counted),
  }
}
