import type { InstanceView } from '../../model/instance.ts'
import { type Session, type SessionState, stateIn } from '../../model/session.ts'
import { progressOf } from '../../model/wake-progress.ts'

/** The state of a session that lives, and since when, by what its node tells; undefined: no node has it. */
export function stateOf(
  { ending, whenIdle }: Pick<Session, 'ending' | 'whenIdle'>,
  instance: InstanceView | undefined,
  createdAt: string,
): { readonly state: SessionState; readonly since: string } {
  if (ending !== undefined) return { state: 'ending', since: ending.at }
  if (instance === undefined) return { state: 'scheduled', since: createdAt }
  const state = stateIn(progressOf(instance), whenIdle, instance.stoppedBy !== null)
  return { state, since: state === 'scheduled' ? createdAt : instance.since }
}
