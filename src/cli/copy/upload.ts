import { lstat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { ShadowError, systemCode } from '../../lib/errors.ts'

/** The owner that files get in a container. */
type Owner = { readonly uid: number; readonly gid: number }

/** Whether a path of this machine is a folder. Fails with `not-found`. */
export async function isLocalFolder(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw new ShadowError('not-found', `there is no ${path} here`)
    throw error
  }
}

/** A file or folder of this machine as a tar, under another name and with one owner. Links are packed as links. */
export async function packed(path: string, name: string, { uid, gid }: Owner): Promise<AsyncIterable<Uint8Array>> {
  const { create } = await import('tar')
  const isFolder = await isLocalFolder(path)
  const options = {
    cwd: isFolder ? path : dirname(resolve(path)),
    ...(isFolder && { prefix: name }),
    strict: true,
    onWriteEntry: (entry: { path: string; stat?: { uid: number; gid: number } }) => {
      if (!isFolder) entry.path = name
      if (entry.stat !== undefined) Object.assign(entry.stat, { uid, gid })
    },
  }
  return create(options as never, [isFolder ? '.' : basename(resolve(path))]) as unknown as AsyncIterable<Uint8Array>
}
