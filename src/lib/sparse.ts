/** A range of a file that has data: its offset and its length, in bytes. */
export type Extent = readonly [at: number, length: number]

const BLOCK = 512

/**
 * The map at the begin of a sparse file in an archive, by GNU tar's format 1.0: how many extents there are, then the offset and length of each, a
 * line for each number, filled up to whole blocks. The data of the extents follows.
 */
export function sparseMap(extents: readonly Extent[], size: number): Buffer {
  // A file that ends with a hole has an empty extent at its end: else GNU tar would make it shorter.
  const [at, length] = extents.at(-1) ?? [0, 0]
  const all = at + length === size && extents.length > 0 ? extents : [...extents, [size, 0] as const]
  const text = `${[all.length, ...all.flat()].join('\n')}\n`
  return Buffer.concat([Buffer.from(text), Buffer.alloc((BLOCK - (Buffer.byteLength(text) % BLOCK)) % BLOCK)])
}

/** Reads such a map by `take`. Throws `wrong()` if its extents overlap, are in disorder, or are beyond the size. */
export async function readSparseMap(
  take: (length: number) => Promise<Buffer>,
  size: number,
  wrong: () => Error,
): Promise<readonly Extent[]> {
  const number = numbers(take, wrong)
  const count = await number()
  const extents: Extent[] = []
  let end = 0
  for (let n = 0; n < count; n++) {
    const at = await number()
    const length = await number()
    if (at < end || at + length > size) throw wrong()
    end = at + length
    extents.push([at, length])
  }
  return extents
}

/** Numbers of a map, one after another; whole blocks are read. */
function numbers(take: (length: number) => Promise<Buffer>, wrong: () => Error): () => Promise<number> {
  let rest = ''
  return async () => {
    for (;;) {
      const newline = rest.indexOf('\n')
      if (newline >= 0) {
        const digits = rest.slice(0, newline)
        rest = rest.slice(newline + 1)
        if (!/^\d{1,15}$/.test(digits)) throw wrong()
        return Number(digits)
      }
      if (rest.length > 15) throw wrong()
      rest += (await take(BLOCK)).toString('latin1')
    }
  }
}
