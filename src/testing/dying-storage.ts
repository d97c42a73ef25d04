import { ShadowError } from '../lib/errors.ts'
import type { Storage } from '../master/storage/storage.ts'

/** The storage of a master that dies after this many writes: no later call has an effect. */
export function dyingStorage(storage: Storage, writes: number): Storage {
  let left = writes
  const dead = (): ShadowError => new ShadowError('storage-unreachable', 'this master is dead')
  const alive = <T>(task: () => Promise<T>): Promise<T> => (left < 0 ? Promise.reject(dead()) : task())
  const write = <T>(task: () => Promise<T>): Promise<T> => {
    left -= 1
    return alive(task)
  }
  return {
    name: storage.name,
    close: () => storage.close(),
    get: (key, signal) => alive(() => storage.get(key, signal)),
    list: (prefix, options) => alive(() => storage.list(prefix, options)),
    versions: (prefix, options) => alive(() => storage.versions(prefix, options)),
    create: (key, value) => write(() => storage.create(key, value)),
    update: (key, value, etag) => write(() => storage.update(key, value, etag)),
    remove: key => write(() => storage.remove(key)),
  }
}
