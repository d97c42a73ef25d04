import type { ByteReader } from '../byte-reader.ts'
import { padding, readHeader, readRecords, TAR_BLOCK, type TarHeader, type TreeEntry } from './header.ts'

const LARGEST_RECORDS = 65_536

/** The next file of an archive; undefined at its end. Its body and `padding(size)` follow. Throws `wrong()` for what is no archive of ours. */
export async function nextEntry(archive: ByteReader, wrong: () => Error): Promise<TarHeader | undefined> {
  const found = await next(archive, wrong)
  if (found === undefined) return undefined
  const { kind, name, size, pax } = found
  if (kind !== 'file') throw wrong()
  return { name, size, pax }
}

/** The next entry of the tree of a folder; otherwise as `nextEntry`. */
export async function nextTreeEntry(archive: ByteReader, wrong: () => Error): Promise<TreeEntry | undefined> {
  const found = await next(archive, wrong)
  if (found === undefined) return undefined
  const { pax, ...entry } = found
  const name = (pax['path'] ?? entry.name).replace(/\/$/, '')
  if (entry.kind !== 'file' && entry.size > 0) throw wrong()
  return { ...entry, name, link: pax['linkpath'] ?? entry.link }
}

type Found = TreeEntry & { readonly pax: Readonly<Record<string, string>> }

async function next(archive: ByteReader, wrong: () => Error): Promise<Found | undefined> {
  let pax: Record<string, string> | undefined
  for (;;) {
    const block = await archive.take(TAR_BLOCK)
    if (block.every(byte => byte === 0)) {
      if (pax !== undefined || !(await archive.take(TAR_BLOCK)).every(byte => byte === 0)) throw wrong()
      return undefined
    }
    const header = readHeader(block)
    if (header === undefined) throw wrong()
    const { kind, ...rest } = header
    if (kind !== 'pax') {
      const size = pax?.['size'] === undefined ? rest.size : Number(pax['size'])
      if (!Number.isSafeInteger(size) || size < 0) throw wrong()
      return { ...rest, kind, size, pax: pax ?? {} }
    }
    if (pax !== undefined || header.size > LARGEST_RECORDS) throw wrong()
    pax = readRecords(await archive.take(header.size))
    await archive.take(padding(header.size).length)
    if (pax === undefined) throw wrong()
  }
}
