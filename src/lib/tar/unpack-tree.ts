import { chmod, type FileHandle, mkdir, open, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ByteReader } from '../byte-reader.ts'
import { padding } from './header.ts'
import { nextTreeEntry } from './read.ts'

type Limits = { readonly entries: number; readonly bytes: number }
const CHUNK = 2 ** 20

/**
 * Writes the tree of such a tar into an empty folder. Names that lead out of it, that come twice, or that are no plain names make it throw
 * `wrong(why)`. Links are made last: no file is ever written through one of them.
 */
export async function unpackTree(
  archive: ByteReader,
  into: string,
  { entries: most, bytes }: Limits,
  wrong: (why: string) => Error,
): Promise<void> {
  const seen = new Set<string>()
  const folders = new Set<string>()
  const links: { name: string; link: string }[] = []
  let left = bytes
  const folder = async (name: string): Promise<void> => {
    if (name === '.' || folders.has(name)) return
    if (seen.has(name)) throw wrong(`"${name}" is a file and a folder`)
    await mkdir(join(into, name), { recursive: true })
    for (let at = name; at !== '.' && !folders.has(at); at = dirname(at)) {
      await chmod(join(into, at), 0o755) // whatever the umask is
      folders.add(at)
    }
  }
  for (;;) {
    const entry = await nextTreeEntry(archive, () => wrong('it is no tar of a folder'))
    if (entry === undefined) break
    const { kind, name, size, isExecutable, link } = entry
    if (!isPlain(name)) throw wrong(`"${name.slice(0, 200)}" is no plain path`)
    if (seen.has(name) || (kind !== 'folder' && folders.has(name))) throw wrong(`"${name}" comes twice`)
    if (seen.size + folders.size >= most) throw wrong(`it has more than ${most} files`)
    left -= size
    if (left < 0) throw wrong(`it has more than ${bytes} bytes`)
    if (kind === 'folder') {
      await folder(name)
      continue
    }
    await folder(dirname(name))
    seen.add(name)
    if (kind === 'link') {
      links.push({ name, link })
      continue
    }
    const file = await open(join(into, name), 'wx')
    try {
      await file.chmod(isExecutable ? 0o755 : 0o644)
      await copy(archive, file, size)
    } finally {
      await file.close()
    }
    await archive.take(padding(size).length)
  }
  for (const { name, link } of links) {
    if (folders.has(name)) throw wrong(`"${name}" is a link and a folder`)
    await symlink(link, join(into, name))
  }
}

async function copy(archive: ByteReader, file: FileHandle, size: number): Promise<void> {
  for (let left = size; left > 0; ) {
    const bytes = await archive.some(Math.min(left, CHUNK))
    await file.writeFile(bytes)
    left -= bytes.length
  }
}

const isPlain = (name: string): boolean =>
  name.length <= 4_000 &&
  !name.includes('\0') &&
  name.split('/').every(part => part !== '' && part !== '.' && part !== '..' && Buffer.byteLength(part) <= 255)
