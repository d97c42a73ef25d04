import { ShadowError } from '../lib/errors.ts'
import type { Storage } from '../master/storage/storage.ts'

/** Documents in memory, for tests in which many are written. It is no driver, and survives nothing. */
export function memoryStorage(): Storage {
  const documents = new Map<string, { readonly text: string; readonly etag: string }>()
  let writes = 0
  const write = (key: string, value: object): string => {
    const etag = `${++writes}`
    documents.set(key, { text: JSON.stringify(value), etag })
    return etag
  }
  const keys = (prefix: string, after = ''): string[] =>
    [...documents.keys()].filter(key => key.startsWith(prefix) && key > after).sort()
  return {
    name: 'memory',
    async get(key) {
      const found = documents.get(key)
      return found && { value: JSON.parse(found.text), etag: found.etag }
    },
    async create(key, value) {
      if (documents.has(key)) throw new ShadowError('already-exists', `${key} is there`)
      return write(key, value)
    },
    async update(key, value, etag) {
      if (documents.get(key)?.etag !== etag) throw new ShadowError('changed', `${key} has changed`)
      return write(key, value)
    },
    async remove(key) {
      documents.delete(key)
    },
    list: async (prefix, { after, limit } = {}) => keys(prefix, after).slice(0, limit),
    versions: async (prefix, { after, limit }) =>
      new Map(
        keys(prefix, after)
          .slice(0, limit)
          .map(key => [key, documents.get(key)?.etag ?? '']),
      ),
    close: async () => undefined,
  }
}
