import { createHash } from 'node:crypto'
import { lstat, readdir, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import { type Packed, packedBytes, packTree } from '../../lib/tar/pack-tree.ts'
import { type Sha256, sha256 } from '../../model/digest.ts'
import { sayBytes } from '../../model/quantities.ts'
import type { Ignored } from './ignored.ts'

/** A folder to send: always the same bytes for the same files, whoever packs them and wherever. */
export type Pack = {
  readonly files: number
  readonly bytes: number
  /** A tar, each time from its start. */
  content(): AsyncGenerator<Buffer, void>
}

const MOST_FILES = 200_000
/** Larger folders are nearly always a mistake, such as a dataset or a folder of dependencies. */
const MOST_PACKED = 2 * 2 ** 30

/** Packs the folder but for what is ignored. `more` are files that it does not have, or has otherwise. Fails with `too-large`, `bad-input`. */
export async function packFolder(folder: string, ignored: Ignored, more: readonly Packed[] = []): Promise<Pack> {
  const entries = new Map<string, Packed>()
  const sizes = new Map<string, number>()
  await walk(folder, '', ignored, entry => {
    entries.set(entry.name, entry)
    const top = entry.name.split('/')[0] ?? ''
    sizes.set(top, (sizes.get(top) ?? 0) + entry.size)
    if (entries.size > MOST_FILES) throw tooLarge(folder, `has more than ${MOST_FILES} files`, sizes, ignored)
  })
  for (const entry of more) entries.set(entry.name, entry)
  // By code units, which are the same in every language of a machine.
  const sorted = [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  const bytes = packedBytes(sorted)
  if (bytes > MOST_PACKED)
    throw tooLarge(folder, `has ${sayBytes(bytes)}; ${sayBytes(MOST_PACKED)} at most`, sizes, ignored)
  return { files: sorted.length, bytes, content: () => packTree(sorted, changed) }
}

/** The digest of what is packed. */
export async function digestOf(pack: Pack): Promise<Sha256> {
  const hash = createHash('sha256')
  for await (const chunk of pack.content()) hash.update(chunk)
  return sha256(hash.digest('hex'))
}

/** Packs these files alone. */
export function packFiles(entries: readonly Packed[]): Pack {
  const sorted = [...entries].sort((a, b) => (a.name < b.name ? -1 : 1))
  return { files: sorted.length, bytes: packedBytes(sorted), content: () => packTree(sorted, changed) }
}

/** A file of this machine. */
export async function fileOf(name: string, from: string): Promise<Packed> {
  const { size, mode } = await stat(from)
  return { kind: 'file', name, size, isExecutable: (mode & 0o100) !== 0, link: '', from }
}

/** A file that the folder does not have. */
export const madeFile = (name: string, text: string): Packed => {
  const from = Buffer.from(text)
  return { kind: 'file', name, size: from.length, isExecutable: false, link: '', from }
}
/** A link that the folder does not have. */
export const madeLink = (name: string, link: string): Packed => ({
  ...{ kind: 'link', name, size: 0, isExecutable: false },
  ...{ link, from: '' },
})

async function walk(root: string, base: string, ignored: Ignored, found: (entry: Packed) => void): Promise<void> {
  for (const one of await list(join(root, base))) {
    const name = base === '' ? one : `${base}/${one}`
    const from = join(root, name)
    const stats = await lstat(from)
    const isFolder = stats.isDirectory()
    const isIgnored = ignored.ignores(name, isFolder)
    if (isIgnored && !(isFolder && ignored.mayComeBack)) continue
    const entry = { name, from, isExecutable: (stats.mode & 0o100) !== 0, link: '', size: 0 }
    if (isFolder) {
      if (!isIgnored) found({ ...entry, kind: 'folder' })
      await walk(root, name, ignored, found)
    } else if (stats.isSymbolicLink()) found({ ...entry, kind: 'link', link: await readlink(from) })
    else if (stats.isFile()) found({ ...entry, kind: 'file', size: stats.size })
    // Sockets, pipes and devices have no content.
  }
}

async function list(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (cause) {
    if (!['ENOENT', 'ENOTDIR', 'EACCES'].includes(systemCode(cause) ?? '')) throw cause
    throw new ShadowError('bad-input', `${folder} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

const changed = (name: string): ShadowError =>
  new ShadowError('bad-input', `${name} was changed while it was read`, { hint: 'deploy again when nothing writes it' })

function tooLarge(folder: string, why: string, sizes: ReadonlyMap<string, number>, { by }: Ignored): ShadowError {
  const largest = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, 3)
  const named = largest.map(([name, bytes]) => `${name} ${sayBytes(bytes)}`).join(', ')
  return new ShadowError('too-large', `${folder} ${why}; the largest: ${named}`, {
    hint: `leave out what the app does not need: ${by ?? '.dockerignore'}`,
  })
}
