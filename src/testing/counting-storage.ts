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
  const counted = <Args extends unknown[], T>(name: string, call: (...args: Args) => Promise<T>) => {
    return async (...args: Args): Promise<T> => {
      calls.push(name)
      underWay++
      try {
        return await call(...args)
      } finally {
        underWay--
      }
    }
  }
  return {
    calls,
    async settled() {
      for (let quiet = 0; quiet < QUIET_TURNS; quiet = underWay === 0 ? quiet + 1 : 0) await new Promise(setImmediate)
    },
    storage: {
      name: storage.name,
      close: () => storage.close(),
      get: counted('get', storage.get),
      list: counted('list', storage.list),
      versions: counted('versions', storage.versions),
      create: counted('create', storage.create),
      update: counted('update', storage.update),
      remove: counted('remove', storage.remove),
    },
  }
}
