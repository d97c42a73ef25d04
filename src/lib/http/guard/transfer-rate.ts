import type { Limits } from './limits.ts'

/** What is remembered of a client between two looks at it. */
export type Pace = {
  /** Bytes that had passed at the last look. */
  moved: number
  /** For how long none has passed though it should have. */
  quietMs: number
  /** For how long bytes have been owed at every look, and how many had passed when that began. */
  owingMs: number
  owingFrom: number
}

export const newPace = (): Pace => ({ moved: -1, quietMs: 0, owingMs: 0, owingFrom: 0 })

type Bounds = Pick<Limits, 'stalledAfterMs' | 'leastBytesPerSecond' | 'rateOverMs'>

/**
 * Takes in what has passed by now, `sinceMs` after the last look; false where the client keeps too slow a pace. It `owes` while it is its
 * turn to give or to take.
 */
export function keepsPace(pace: Pace, moved: number, owes: boolean, sinceMs: number, bounds: Bounds): boolean {
  if (!owes || moved !== pace.moved) pace.quietMs = 0
  else pace.quietMs += sinceMs
  pace.moved = moved
  return pace.quietMs < bounds.stalledAfterMs && isFastEnough(pace, moved, owes, sinceMs, bounds)
}

/** Whether at least the least rate has passed, over a while in which some was owed at every look. */
function isFastEnough(
  pace: Pace,
  moved: number,
  owes: boolean,
  sinceMs: number,
  { leastBytesPerSecond, rateOverMs }: Bounds,
): boolean {
  if (leastBytesPerSecond === 0) return true
  if (!owes || pace.owingMs === 0) {
    pace.owingMs = owes ? sinceMs : 0
    pace.owingFrom = moved
    return true
  }
  pace.owingMs += sinceMs
  if (pace.owingMs <= rateOverMs) return true
  const enough = moved - pace.owingFrom >= (leastBytesPerSecond * (pace.owingMs - sinceMs)) / 1_000
  pace.owingMs = 0
  return enough
}
