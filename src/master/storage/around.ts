import type { Storage } from './storage.ts'

export const OPERATIONS = ['get', 'list', 'versions', 'create', 'update', 'remove'] as const
export type Operation = (typeof OPERATIONS)[number]

/** Runs a request to a storage. `key`: the document, or the prefix of a list. */
type Around = <T>(request: () => Promise<T>, operation: Operation, key: string) => Promise<T>

/** The storage, each request to which goes through `around`. */
export const storageAround = (storage: Storage, around: Around): Storage => ({
  name: storage.name,
  get: (key, signal) => around(() => storage.get(key, signal), 'get', key),
  list: (prefix, options) => around(() => storage.list(prefix, options), 'list', prefix),
  versions: (prefix, options) => around(() => storage.versions(prefix, options), 'versions', prefix),
  create: (key, value) => around(() => storage.create(key, value), 'create', key),
  update: (key, value, etag) => around(() => storage.update(key, value, etag), 'update', key),
  remove: key => around(() => storage.remove(key), 'remove', key),
  close: () => storage.close(),
})
