import type { MasterClient } from '../api/client.ts'
import { ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { instanceOf } from './find-instance.ts'

/**
 * Waits until an awake app runs its current revision. A sleeping app is not waited for: its next wake starts the revision. If the
 * revision did not become ready and an earlier one goes on serving, this fails with the error of the revision.
 */
export async function waitForRevision(master: MasterClient, { name, task }: App): Promise<void> {
  if (task.pinned === undefined) return // the app is on no node
  const before = await instanceOf(master, name).catch(() => undefined) // its node is away, and takes the revision when it is back
  if (before === undefined || !['waking', 'awake', 'stopping'].includes(before.phase)) return
  const signal = new AbortController().signal // the wake has its own deadline
  const { revision, rejected } = await master.call('wakeApp', { params: { app: name }, signal })
  if (rejected?.revision !== task.revision) return
  const { code, detail, hint, faults, facts } = rejected.problem
  throw new ShadowError(
    code,
    `revision ${task.revision} of ${name} is not taken, revision ${revision} serves on: ${detail}`,
    { hint, faults, facts },
  )
}
