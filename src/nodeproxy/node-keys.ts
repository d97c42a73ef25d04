import { randomBytes } from 'node:crypto'
import { writeWhole } from '../lib/files.ts'
import { readPrivate } from '../lib/private-file.ts'
import { newSealKey, Seals, sealKeys } from '../lib/seals.ts'

/** The keys of a node, made once. The node checks them itself, so they work while the master is away. */
export type NodeKeys = {
  /** For fronts: to send requests for apps, and to follow a wake. */
  readonly traffic: string
  /** For masters only: to wake, sleep and forget instances, to read logs, and to delete volumes. */
  readonly control: string
}

/** Reads the keys from the folder, and makes those that are not there. */
export async function ownKeys(folder: string): Promise<NodeKeys> {
  return { traffic: await ownKey(`${folder}/key`), control: await ownKey(`${folder}/control-key`) }
}

/** The node encrypts its copies of definitions with these. Their key is made once, and never leaves the machine. */
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
