import { createReadStream } from 'node:fs'
import { padding, TAR_END, type TreeEntry, treeHeader } from './header.ts'

/** An entry, and where its content is: in a file, or here. */
export type Packed = TreeEntry & { readonly from: string | Buffer }

/** The bytes of a tar of these entries, in their order. Fails with the error of `changed` if a file got another size than its entry says. */
export async function* packTree(
  entries: readonly Packed[],
  changed: (name: string) => Error,
): AsyncGenerator<Buffer, void> {
  for (const entry of entries) {
    yield treeHeader(entry)
    if (entry.kind !== 'file') continue
    let left = entry.size
    if (typeof entry.from !== 'string') {
      yield entry.from
      left -= entry.from.length
    } else if (left > 0)
      for await (const chunk of createReadStream(entry.from, { end: entry.size - 1 })) {
        left -= (chunk as Buffer).length
        yield chunk as Buffer
      }
    if (left !== 0) throw changed(entry.name)
    yield padding(entry.size)
  }
  yield TAR_END
}

/** How many bytes `packTree` gives, but for names that are long. */
export const packedBytes = (entries: readonly Packed[]): number =>
  entries.reduce((sum, { size }) => sum + 512 + size + padding(size).length, TAR_END.length)
