import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemCode } from '../../lib/errors.ts'
import { syncFolder } from '../../lib/files.ts'
import { type Sha256, sha256 } from '../../model/digest.ts'
import { sweep, withDirectoryFailures } from '../storage/directory-files.ts'
import type { Blobs, Received, Receiving } from './blobs.ts'
import { hashed } from './verified.ts'

/** Blobs as files at `<path>/<folder>/<sha256>`, beside the documents of a storage directory. */
export function directory({ path, folder: name = 'blobs' }: { path: string; folder?: string }): Blobs {
  const folder = join(path, name)
  const parts = join(folder, '.parts')
  const fileOf = (digest: Sha256): string => join(folder, sha256(digest))
  const reaching = <T>(call: () => Promise<T>): Promise<T> => withDirectoryFailures(path, call)

  const sizeOf = async (digest: Sha256): Promise<number | undefined> => {
    try {
      return (await stat(fileOf(digest))).size
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  const receive = async (
    given: AsyncIterable<Uint8Array>,
    { expected, named }: Receiving,
    signal: AbortSignal,
  ): Promise<Received> => {
    await mkdir(parts, { recursive: true, mode: 0o700 })
    await sweep(parts)
    const part = join(parts, randomUUID())
    const { content, received } = hashed(given, expected, signal)
    try {
      await using file = await open(part, 'wx', 0o600)
      for await (const chunk of content) await writeAll(file, chunk)
      await file.sync()
      await named?.(received())
      await rename(part, fileOf(received().digest))
    } finally {
      await rm(part, { force: true })
    }
    await syncFolder(folder)
    await syncFolder(dirname(folder))
    return received()
  }

  return {
    put: (digest, content, signal) =>
      reaching(async () => {
        if ((await sizeOf(digest)) === undefined) await receive(content, { expected: digest }, signal)
      }),

    receive: (content, options, signal) => reaching(() => receive(content, options, signal)),

    get: (digest, range, signal) =>
      reaching(async () => {
        try {
          const file = await open(fileOf(digest), 'r')
          const { first, last } = range ?? {}
          return file.createReadStream({ start: first, end: last, signal })
        } catch (error) {
          if (systemCode(error) === 'ENOENT') return undefined
          throw error
        }
      }),

    size: digest => reaching(() => sizeOf(digest)),

    list: (prefix, { after = '', limit }) =>
      reaching(async () => {
        const names = await readdir(folder).catch(error => {
          if (systemCode(error) === 'ENOENT') return []
          throw error
        })
        return names
          .filter(name => /^[0-9a-f]{64}$/.test(name) && name.startsWith(prefix) && name > after)
          .sort()
          .slice(0, limit)
          .map(sha256)
      }),

    remove: digest =>
      reaching(async () => {
        if ((await sizeOf(digest)) === undefined) return
        await rm(fileOf(digest), { force: true })
        await syncFolder(folder)
      }),

    sweep: async () => undefined, // each `receive` does it

    close: async () => undefined,
  }
}

/** A write may take less than it was given. */
async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done)).bytesWritten
}
