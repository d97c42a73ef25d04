import { stat } from 'node:fs/promises'
import type { Exec } from '../../lib/exec.ts'
import type { Extent } from '../../lib/sparse.ts'

/** The usual block of a filesystem. */
const UNIT = 4096

/**
 * Where the file has data, in ascending order: everything else is holes. Node has no lseek(SEEK_DATA), so filefrag (e2fsprogs) is asked, which
 * reads the same map. `isAtRest`: nobody writes to the file, and its bytes are written out first, so that the map is complete.
 * Where the filesystem does not tell its map, the whole file counts as data.
 */
export async function dataExtents(path: string, exec: Exec, { isAtRest }: { isAtRest: boolean }): Promise<Extent[]> {
  const { size, blocks } = await stat(path)
  const whole: Extent[] = size === 0 ? [] : [[0, size]]
  const text = await exec('filefrag', [...(isAtRest ? ['-s'] : []), '-v', path]).catch(() => undefined)
  if (text === undefined) return whole
  const found = extentsIn(text, size)
  const covered = found.reduce((sum, [, length]) => sum + Math.ceil(length / UNIT) * UNIT, 0)
  // Fewer bytes than the file occupies: the map is not to be trusted. The file's own tables take far less than a twentieth.
  return covered < blocks * 512 * 0.95 ? whole : found
}

/** The extents in what `filefrag -v` prints; neighbours are joined. @internal */
export function extentsIn(text: string, size: number): Extent[] {
  const unit = Number(/blocks? of (\d+) bytes/.exec(text)?.[1] ?? Number.NaN)
  const found: [number, number][] = []
  for (const [, first, last] of text.matchAll(/^\s*\d+:\s*(\d+)\.\.\s*(\d+):/gm)) {
    const from = Number(first) * unit
    const to = Math.min((Number(last) + 1) * unit, size)
    const before = found.at(-1)
    if (before !== undefined && before[0] + before[1] === from) before[1] = to - before[0]
    else if (to > from) found.push([from, to - from])
  }
  return found
}
