import type { ServerPhase, ServerRecord } from '../../model/fleet.ts'
import type { ServerView } from './world.ts'

/** The list of nodes is so old at most that it may not show a drain that was asked for. */
const DRAIN_SEEN_MS = 30_000
/** Lists lag behind by seconds. A machine that is not listed for so long is gone, or the driver sees it no more: its tags were changed, or the account. */
const MISSING_MS = 5 * 60_000

/** Whether nothing runs on the machine of this server any more, ever: the cloud says so. */
export const hasEnded = ({ machine }: ServerView): boolean => machine?.state === 'ended'

/** Whether the driver does not know the machine any more, which says nothing of what runs on it. */
export const isMissing = ({ record, machine, missingMs }: ServerView): boolean =>
  machine === undefined && record.phase !== 'ordered' && missingMs >= MISSING_MS

/** The record with the phase that the server has come to by itself: the machine runs, its node joined, it has stopped. */
export function observed(view: ServerView, now: number): ServerRecord {
  const phase = phaseOf(view, now)
  if (phase === view.record.phase) return view.record
  // An order that was refused to one front was carried out for another.
  const { refused: _, ...record } = view.record
  return { ...record, phase, since: new Date(now).toISOString() }
}

function phaseOf({ record, machine, node }: ServerView, now: number): ServerPhase {
  const { phase } = record
  if (machine === undefined || phase === 'ending') return phase
  const isStopped = machine.state === 'stopped'
  const isUp = machine.state === 'running' || machine.state === 'pending'
  switch (phase) {
    case 'ordered':
      return machine.state === 'ended' ? phase : 'starting'
    case 'starting':
      return node?.isUsable === true ? 'serving' : phase
    case 'serving':
      return isStopped ? 'standby' : phase
    case 'draining':
      if (isStopped) return 'standby'
      // Somebody has uncordoned it.
      return node?.isUsable === true && now - Date.parse(record.since) > DRAIN_SEEN_MS ? 'serving' : phase
    case 'stopping':
      return isStopped ? 'standby' : phase
    case 'standby':
      return isUp ? 'starting' : phase
  }
}
