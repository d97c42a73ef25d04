import { randomBytes } from 'node:crypto'
import { readIfThere, writeWhole } from '../lib/files.ts'

/** The node's key, made once: who shows it may make calls and send requests, also while the master is away. */
export async function ownKey(folder: string): Promise<string> {
  const file = `${folder}/key`
  const kept = (await readIfThere(file))?.trim()
  if (kept !== undefined && kept.length >= 16) return kept
  const key = randomBytes(32).toString('base64url')
  await writeWhole(file, `${key}\n`)
  return key
}
