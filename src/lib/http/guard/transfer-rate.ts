import type { Limits } from './limits.ts'

/** What is remembered of a client between two checks. */
export type Pace = {
  /** Bytes that had passed at the last check. */
  moved: number
  /** For how long no byte has passed although it was the client's turn. */
  quietMs: number
  /** For how long it has been the client's turn at every check, and how many bytes had passed when that began. */
  owingMs: number
  owingFrom: number
}

export const newPace = (): Pace => ({ moved: -1, quietMs: 0, owingMs: 0, owingFrom: 0 })

type Bounds = Pick<Limits, 'stalledAfterMs' | 'leastBytesPerSecond' | 'rateOverMs'>

/**
 * Checks a client `sinceMs` after the last check, when `moved` bytes have passed in all; false if it is too slow. The client `owes` while it is its
 * turn to send or to receive.
 */
export function keepsPace(pace: Pace, moved: number, owes: boolean, sinceMs: number, bounds: Bounds): boolean {
  if (!owes || moved !== pace.moved) pace.quietMs = 0
  else pace.quietMs += sinceMs
  pace.moved = moved
  return pace.quietMs < bounds.stalledAfterMs && isFastEnough(pace, moved, owes, sinceMs, bounds)
}

/** Compares the rate with the lowest one, over a period in which it was the client's turn at every check. */
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
