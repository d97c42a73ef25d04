import { storageAround } from '../master/storage/around.ts'
import type { Storage } from '../master/storage/storage.ts'

/** Holds one of the calls that a master makes: it is late with that call and all that follow. */
type LateMaster = {
  /** The storage for the late master. */
  readonly storage: Storage
  /** Counts a call that does not go to the storage, such as one to a node; resolves when it may go on. */
  readonly call: () => Promise<void>
  /** Holds the call of this number from now on, counted from 1. Resolves once it is held. */
  hold(number: number): Promise<void>
  /** Lets the call go on, and counts no more until the next `hold`. */
  release(): void
}

/** `counts`: whether a call about the document, or the folder, of this name counts. */
export function lateMaster(storage: Storage, counts: (key: string) => boolean): LateMaster {
  let reached = Promise.withResolvers<void>()
  let released = Promise.withResolvers<void>()
  let left = Number.POSITIVE_INFINITY
  const call = async (): Promise<void> => {
    if (--left !== 0) return
    reached.resolve()
    await released.promise
  }
  return {
    storage: storageAround(storage, async (request, _operation, key) => {
      if (counts(key)) await call()
      return request()
    }),
    call,
    hold: number => {
      reached = Promise.withResolvers<void>()
      released = Promise.withResolvers<void>()
      left = number
      return reached.promise
    },
    release: () => {
      left = Number.POSITIVE_INFINITY
      released.resolve()
    },
  }
}
