import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

/** The restic of this machine that tests use; undefined if there is none that can be used. */
export function resticHere(): string | undefined {
  const find = join(import.meta.dirname, '../../contrib/dev/find-restic')
  return execFileSync(find, { encoding: 'utf8' }).trim() || undefined
}
