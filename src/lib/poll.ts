import { pause } from './abort.ts'
import type { Clock } from './clock.ts'

const FIRST_MS = 250
const LONGEST_MS = 2_000
const NEVER = new AbortController().signal

/** Looks again and again, ever more seldom, until there is an answer; fails with `otherwise` after `ms`. */
export async function poll<T>(
  clock: Clock,
  ms: number,
  look: () => Promise<T | undefined>,
  otherwise: () => Error,
): Promise<T> {
  const end = clock.now() + ms
  for (let wait = FIRST_MS; ; wait = Math.min(1.5 * wait, LONGEST_MS)) {
    const found = await look()
    if (found !== undefined) return found
    if (clock.now() >= end) throw otherwise()
    await pause(clock, wait, NEVER)
  }
}
