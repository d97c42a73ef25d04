import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The folder of an app, as detection looks at it. Tests give the files by their names. */
export type Folder = {
  has(path: string): boolean
  /** The text of a small file; undefined if there is none. */
  read(path: string): string | undefined
  /** The names in the folder or in one below it. */
  names(path?: string): readonly string[]
}

const MOST_BYTES = 2 ** 20

export const folderAt = (root: string): Folder => ({
  has: path => existsSync(join(root, path)),
  read(path) {
    try {
      return readFileSync(join(root, path), 'utf8').slice(0, MOST_BYTES)
    } catch {
      return undefined // there is no such file, or it is none that we may read: detection goes on without it
    }
  },
  names(path = '.') {
    try {
      return readdirSync(join(root, path)).sort()
    } catch {
      return [] // see `read`
    }
  },
})
