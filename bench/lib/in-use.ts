import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { masterClient } from '../../src/api/client.ts'
import { readEndpoints } from '../../src/cli/endpoints.ts'

const CALL_WITHIN_MS = 10_000

/** The numbers of holds and of waiting requests on the node of one of our peers, which runs in this folder. */
export async function inUse(folder: string): Promise<{ holds: number; waiting: number }> {
  const data = join(folder, 'data')
  const { master: url = '' } = (await readEndpoints(data)) ?? {}
  const token = (await readFile(join(data, 'tokens/admin'), 'utf8')).trim()
  const { items } = await masterClient({ url, token, withinMs: CALL_WITHIN_MS }).call('listInstances', {})
  if (items.length === 0) throw new Error('the node has no instance')
  return {
    holds: items.reduce((sum, { holds }) => sum + holds.length, 0),
    waiting: items.reduce((sum, { waiting }) => sum + waiting, 0),
  }
}
