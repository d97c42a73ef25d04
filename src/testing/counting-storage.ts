import type { Storage } from '../master/storage/storage.ts'

/** The storage, and the names of the calls that were made to it. */
export function countingStorage(storage: Storage): { readonly storage: Storage; readonly calls: string[] } {
  const calls: string[] = []
  const counted = <Args extends unknown[], T>(name: string, call: (...args: Args) => T) => {
    return (...args: Args): T => {
      calls.push(name)
      return call(...args)
    }
  }
  return {
    calls,
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
