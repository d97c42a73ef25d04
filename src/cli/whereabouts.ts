import { join } from 'node:path'
import { readIfThere, writeWhole } from '../lib/files.ts'

/** Where a master that was started on this machine listens, and the front beside it. */
type Whereabouts = { readonly master: string; readonly front?: string | undefined }

/**
 * Leaves word for the CLI on the same machine. It stays when the master ends: the CLI must not show this folder's token to
 * whoever else listens at a usual address.
 */
export async function leaveWhereabouts(data: string, whereabouts: Whereabouts): Promise<void> {
  await writeWhole(fileIn(data), `${JSON.stringify({ pid: process.pid, ...whereabouts })}\n`)
}

/** What was left, or undefined where none was ever started on this folder. */
export async function readWhereabouts(data: string): Promise<Whereabouts | undefined> {
  const text = await readIfThere(fileIn(data))
  return text === undefined ? undefined : JSON.parse(text)
}

const fileIn = (data: string): string => join(data, 'up.json')
