import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Challenge, Solver } from './authority.ts'
import type { challengeRecords } from './challenges.ts'
import type { TxtRecords } from './dns-hook.ts'

type Parts = {
  readonly challenges: Pick<ReturnType<typeof challengeRecords>, 'put' | 'clear'>
  readonly dns: TxtRecords
  /** How long all name servers may take until they have a new record. */
  readonly dnsWaitMs: number
  readonly clock: Clock
  readonly log: Log
}

/** Solves challenges by HTTP at the fronts, and challenges by DNS at their name servers, through the hook or by updates. */
export function solverOf({ challenges, dns, dnsWaitMs, clock, log }: Parts, signal: AbortSignal): Solver {
  const undo = (challenge: Challenge): Promise<void> =>
    challenge.kind === 'http-01' ? challenges.clear(challenge.token) : dns.clear(challenge.record, challenge.value)

  return {
    async put(challenge) {
      if (challenge.kind === 'http-01') return challenges.put(challenge.token, challenge.keyAuthorization)
      await dns.set(challenge.record, challenge.value)
      await pause(clock, dnsWaitMs, signal)
    },
    async clear(challenge) {
      // What is left of a challenge harms nothing, so the order does not fail for it.
      await undo(challenge).catch(cause => log.warn('challenge not cleared', { kind: challenge.kind, cause }))
    },
  }
}
