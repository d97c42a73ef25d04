import type { MasterClient } from '../api/client.ts'
import { ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { instanceOf } from './instance.ts'

/**
 * Waits until an app that was awake as it was changed runs its current revision; one that sleeps takes it with its next wake. Fails
 * as the revision did, where an earlier one serves on in its place.
 */
export async function untilTaken(master: MasterClient, { name, task }: App): Promise<void> {
  if (task.pinned === undefined) return // no node has it
  const before = await instanceOf(master, name).catch(() => undefined) // its node is away: it takes it when it is back
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
