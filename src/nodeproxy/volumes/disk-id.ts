import { randomUUID } from 'node:crypto'
import { readIfThere, writeWhole } from '../../lib/files.ts'

/**
 * The id of the disk that this machine keeps volumes on: random, made once, and in a file beside them. A machine that has got the name of
 * another node, or that starts while the disk of its volumes is not mounted, has another id than the one that the master knows. Callers at
 * once would make several.
 */
export async function diskIdOf(folder: string): Promise<string> {
  const file = `${folder}/.disk-id`
  const kept = (await readIfThere(file))?.trim()
  if (kept) return kept
  const id = randomUUID()
  await writeWhole(file, `${id}\n`)
  return id
}
