import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import { syncFolder } from '../../lib/files.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { sha256 } from '../../model/digest.ts'
import type { VolumeId } from '../../model/names.ts'
import { hashed } from '../blobs/verified.ts'
import { sweep, withDirectoryFailures } from '../storage/directory-files.ts'
import {
  FILE_TYPES,
  ofLength,
  pathOf,
  REPOSITORIES,
  type RepositoryFile,
  type RepositoryFiles,
} from './repository-files.ts'

const NAME = /^[0-9a-f]{64}$/

/** Restic repositories as folders at `<path>/backups/<volume>`, beside the documents of a storage directory. */
export function directory({ path }: { path: string }): RepositoryFiles {
  const root = join(path, REPOSITORIES)
  const parts = join(root, '.parts')
  const fileOf = (file: RepositoryFile): string => join(root, file.volume, pathOf(file))
  const reaching = <T>(call: () => Promise<T>): Promise<T> => withDirectoryFailures(path, call)

  const sizeOf = async (file: string): Promise<number | undefined> => {
    try {
      return (await stat(file)).size
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  const namesIn = async (folder: string): Promise<string[]> => {
    try {
      return (await readdir(folder)).sort()
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return []
      throw error
    }
  }

  return {
    put: (file, bytes, content, signal) =>
      reaching(async () => {
        const place = fileOf(file)
        if ((await sizeOf(place)) !== undefined) return void mustBeNamed(file)
        await mkdir(parts, { recursive: true, mode: 0o700 })
        await sweep(parts)
        await makeFolders(file, root)
        const part = join(parts, randomUUID())
        try {
          await using opened = await open(part, 'wx', 0o600)
          const checked = file.type === 'config' ? content : hashed(content, file.name, signal).content
          for await (const chunk of ofLength(checked, bytes))
            for (let done = 0; done < chunk.length; ) done += (await opened.write(chunk, done)).bytesWritten
          await opened.sync()
          // Not a rename: of two callers that make a repository at once, one must fail.
          await link(part, place).catch(error => {
            if (systemCode(error) !== 'EEXIST') throw error
            mustBeNamed(file)
          })
        } finally {
          await rm(part, { force: true })
        }
        await syncFolder(dirname(place))
      }),

    get: (file, range, signal) =>
      reaching(async () => {
        try {
          const opened = await open(fileOf(file), 'r')
          return opened.createReadStream({ start: range?.first, end: range?.last, signal })
        } catch (error) {
          if (systemCode(error) === 'ENOENT') return undefined
          throw error
        }
      }),

    size: file => reaching(() => sizeOf(fileOf(file))),

    async *list(volume, type) {
      const folder = join(root, volume, type)
      const folders =
        type === 'data' ? (await reaching(() => namesIn(folder))).map(name => join(folder, name)) : [folder]
      for (const at of folders) {
        const names = (await reaching(() => namesIn(at))).filter(name => NAME.test(name))
        const sizes = await reaching(() => mapAtMost(16, names, name => sizeOf(join(at, name))))
        for (const [index, name] of names.entries()) {
          const bytes = sizes[index]
          if (bytes !== undefined) yield { name: sha256(name), bytes } // else it was removed just now
        }
      }
    },

    remove: file =>
      reaching(async () => {
        const place = fileOf(file)
        if ((await sizeOf(place)) === undefined) return
        await rm(place, { force: true })
        await syncFolder(dirname(place))
      }),

    removeAll: volume =>
      reaching(async () => {
        const folder = join(root, volume)
        await rm(join(folder, 'config'), { force: true })
        for (const type of FILE_TYPES) await rm(join(folder, type), { recursive: true, force: true })
        await rm(folder, { recursive: true, force: true })
      }),

    close: async () => undefined,
  }
}

function mustBeNamed(file: RepositoryFile): void {
  if (file.type === 'config') throw configExists(file.volume)
}

/** The error for a repository that is there already. */
export const configExists = (volume: VolumeId): ShadowError =>
  new ShadowError('already-exists', `there is a repository for the backups of ${volume} already`)

/** Makes the folders of the file, and lets new ones survive a power cut. */
async function makeFolders(file: RepositoryFile, root: string): Promise<void> {
  const folder = dirname(join(root, file.volume, pathOf(file)))
  const made = await mkdir(folder, { recursive: true, mode: 0o700 })
  for (let at = folder; made !== undefined && at.length >= made.length; at = dirname(at)) await syncFolder(dirname(at))
}
