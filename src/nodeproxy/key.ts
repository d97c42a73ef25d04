import { randomBytes } from 'node:crypto'
import { writeWhole } from '../lib/files.ts'
import { readPrivate } from '../lib/private-file.ts'
import { newSealKey, Seals, sealKeys } from '../lib/seals.ts'

/** The keys of a node, made once: whoever shows one is believed, also while the master is away. */
export type NodeKeys = {
  /** Fronts have it: it sends requests for apps, and follows a wake. */
  readonly traffic: string
  /** Masters alone have it: it wakes apps, puts them to sleep, forgets them, reads their logs and deletes volumes. */
  readonly control: string
}

/** Reads the keys from the folder, and makes those that are not there. */
export async function ownKeys(folder: string): Promise<NodeKeys> {
  return { traffic: await ownKey(`${folder}/key`), control: await ownKey(`${folder}/control-key`) }
}

/** What the node encrypts its copies of definitions with: a key of its own, made once, which leaves the machine with nobody. */
export async function ownSeals(folder: string): Promise<Seals> {
  const file = `${folder}/definitions-key`
  const kept = await readPrivate(file)
  const text = kept ?? newSealKey()
  if (kept === undefined) await writeWhole(file, `${text}\n`)
  return new Seals(sealKeys(text))
}

async function ownKey(file: string): Promise<string> {
  const kept = await readPrivate(file)
  if (kept !== undefined && kept.length >= 16) return kept
  const key = randomBytes(32).toString('base64url')
  await writeWhole(file, `${key}\n`)
  return key
}
