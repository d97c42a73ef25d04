import { availableParallelism } from 'node:os'
import { wholeNumber } from '../settings.ts'

const MOST = 64
const MOST_BY_ITSELF = 8
const given = wholeNumber(1, MOST)

/** Parses a number of threads, or `auto`. */
export const poolSize = (value: string): number => (value === 'auto' ? usual() : given(value))

/** One core is left to the main thread. Only Linux spreads connections over the listeners that share a port. */
function usual(): number {
  if (process.platform !== 'linux') return 1
  return Math.min(MOST_BY_ITSELF, Math.max(1, availableParallelism() - 1))
}
