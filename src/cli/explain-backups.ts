import type { MasterClient } from '../api/client.ts'
import type { App } from '../model/app.ts'
import { shortId } from '../model/backup.ts'
import { sayPolicy } from '../model/backup-policy.ts'
import { sayMs } from '../model/quantities.ts'

/** What there is to say about the backups of an app. Nothing for one without a volume, or one that was never backed up and shall not be. */
export async function sayBackups(master: MasterClient, { name, task }: App, now: number): Promise<string[]> {
  if (task.volume === undefined) return []
  // What is asked for is why the app is awake: a master that cannot tell about backups must not keep that from being said.
  const backups = await master.call('listBackups', { params: { app: name } }).catch(() => undefined)
  if (backups === undefined) return []
  const { items, policy, verified, failure } = backups
  const [newest] = items
  const ago = (at: string): string => `${sayMs(Math.max(0, now - Date.parse(at)))} ago`
  const last =
    newest === undefined ? 'It has no backup yet' : `Its last backup is ${shortId(newest)}, made ${ago(newest.at)}`
  const tested =
    verified === null ? 'none was restored for a test yet' : `one was restored for a test ${ago(verified.at)}`
  return [
    `${last}; ${tested}. It is ${sayPolicy(policy)}.`,
    ...(failure === null ? [] : [`Its last ${failure.kind} failed ${ago(failure.at)}: ${failure.problem.detail}`]),
  ]
}
