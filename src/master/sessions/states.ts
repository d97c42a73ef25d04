import type { InstanceView } from '../../model/instance.ts'
import type { Session, SessionState } from '../../model/session.ts'

/** The state of a session that lives, and since when, by what its node tells; undefined: no node has it. */
export function stateOf(
  { ending, whenIdle }: Pick<Session, 'ending' | 'whenIdle'>,
  instance: InstanceView | undefined,
  createdAt: string,
): { readonly state: SessionState; readonly since: string } {
  if (ending !== undefined) return { state: 'ending', since: ending.at }
  if (instance === undefined) return { state: 'scheduled', since: createdAt }
  const { phase, since, lastWake, stoppedBy } = instance
  const hasRun = stoppedBy !== null
  switch (phase) {
    case 'awake':
      return { state: 'ready', since }
    case 'waking': {
      const steps = lastWake?.steps ?? {}
      if (steps.start !== undefined) return { state: 'waiting', since }
      return { state: steps.create === undefined ? 'loading' : 'starting', since }
    }
    case 'asleep':
      if (!hasRun) return { state: 'scheduled', since: createdAt }
      return { state: whenIdle === 'sleep' ? 'asleep' : 'ending', since }
    case 'stopping':
    case 'crashed':
    case 'stuck':
      return { state: whenIdle === 'sleep' && phase !== 'stopping' ? 'asleep' : 'ending', since }
  }
}
