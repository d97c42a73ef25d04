import { createHash } from 'node:crypto'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import { readIfThere, syncFolder, writeWhole } from '../../lib/files.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { ProcessMutex } from '../../lib/process-mutex.ts'
import { sweep, withDirectoryFailures } from './directory-files.ts'
import { checkedKey, seal, unseal } from './document.ts'
import type { Storage, Stored } from './storage.ts'

const LOCK_WITHIN_MS = 10_000

/** Documents as files under a directory. Any number of processes on this machine may share the directory. */
export async function directory({ path }: { path: string }): Promise<Storage> {
  const parts = join(path, '.parts')
  const lockFile = join(path, '.lock')
  const turn = await withDirectoryFailures(path, async () => {
    await mkdir(parts, { recursive: true, mode: 0o700 })
    await sweep(parts)
    return new ProcessMutex(lockFile, { withinMs: LOCK_WITHIN_MS })
  })

  const read = async (key: string): Promise<Stored | undefined> => {
    const text = await readIfThere(fileOf(path, key))
    if (text !== undefined) return { value: unseal(key, text).value, etag: etagOf(text) }
    await stat(lockFile) // fails if the whole disk is missing; otherwise only the document is
    return undefined
  }

  // The first check refuses most losers before anything is written. The check inside the lock decides.
  const write = async (key: string, value: object, refuse: (now: Stored | undefined) => void): Promise<string> => {
    refuse(await read(key))
    const { text } = seal(value)
    await writeWhole(fileOf(path, key), text, {
      parts,
      place: put =>
        turn.take(async () => {
          refuse(await read(key))
          await put()
        }),
    })
    return etagOf(text)
  }

  const listed = async (
    prefix: string,
    { after = '', limit }: { after?: string | undefined; limit?: number | undefined } = {},
  ) => {
    const keys = await keysUnder(path, prefix)
    if (keys.length === 0) await stat(lockFile)
    return keys
      .filter(key => key.startsWith(prefix) && key > after)
      .sort()
      .slice(0, limit)
  }

  return {
    name: `directory ${path}`,
    close: () => turn.close(),
    get: key => withDirectoryFailures(path, () => read(key)),
    create: (key, value) =>
      withDirectoryFailures(path, () =>
        write(key, value, now => {
          if (now !== undefined) throw new ShadowError('already-exists', `${key} exists`)
        }),
      ),
    update: (key, value, etag) =>
      withDirectoryFailures(path, () =>
        write(key, value, now => {
          if (now?.etag !== etag) throw new ShadowError('changed', `${key} was changed by somebody else`)
        }),
      ),
    remove: key =>
      withDirectoryFailures(path, async () => {
        const file = fileOf(path, key)
        if ((await read(key)) === undefined) return
        await turn.take(() => rm(file, { force: true }))
        await syncFolder(join(file, '..'))
      }),
    list: (prefix, options) => withDirectoryFailures(path, () => listed(prefix, options)),
    versions: (prefix, options) =>
      withDirectoryFailures(path, async () => {
        const keys = await listed(prefix, options)
        const found = await mapAtMost(16, keys, async key => [key, (await read(key))?.etag ?? ''] as const)
        return new Map(found)
      }),
  }
}

const etagOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)

// A hostname may be longer than a file name. The rest of a long name goes into a folder marked with "~", a character that no key contains.
const fileOf = (path: string, key: string): string => join(path, checkedKey(key).replace(/[^/]{200}(?=[^/])/g, '$&~/'))

const keyOf = (file: string): string => file.replaceAll('~/', '')

async function keysUnder(path: string, prefix: string): Promise<string[]> {
  checkedKey(`${prefix}x.json`)
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  try {
    const entries = await readdir(join(path, folder), { recursive: true, withFileTypes: true })
    return entries
      .filter(entry => entry.isFile())
      .map(entry => keyOf(join(entry.parentPath, entry.name).slice(join(path, '/').length)))
      .filter(key => key.endsWith('.json') && !key.startsWith('.'))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}
