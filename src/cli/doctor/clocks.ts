import { sayMs } from '../../model/quantities.ts'
import { type Finding, ok, problem, warning } from './finding.ts'

/** `Date` has whole seconds, and the answer was under way for a moment. */
const NOTICED_MS = 3_000
/** Signatures of S3 and certificates that were just made fail with clocks that differ by more than minutes. */
const WRONG_MS = 60_000

/** Compares this machine's clock with the header `Date` of somebody's answer. */
export function skewFinding(date: string | null | undefined, now: number, whose: string): readonly Finding[] {
  const theirs = Date.parse(date ?? '')
  if (Number.isNaN(theirs)) return []
  const ahead = now - theirs
  const size = Math.abs(ahead)
  const value = size < NOTICED_MS ? 'the same' : `${sayMs(size)} ${ahead > 0 ? 'ahead' : 'behind'}`
  const about = { check: 'clock', what: `this clock, beside that of ${whose}`, where: 'this machine', value }
  const mend =
    'let a service set the clocks of both machines: timedatectl set-ntp true; apt-get install systemd-timesyncd'
  if (size < NOTICED_MS) return [ok(about)]
  return [size < WRONG_MS ? warning(about, mend) : problem(about, mend)]
}
