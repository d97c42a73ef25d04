import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { repeat } from '../../lib/repeat.ts'
import type { VolumeSnapshots } from './snapshots.ts'

type Parts = {
  readonly snapshots: Pick<VolumeSnapshots, 'expire'>
  /** Undefined: for ever. */
  readonly keptForMs: number | undefined
  readonly clock: Clock
  readonly log: Log
}

/** A look costs one list of the names of all snapshots. */
const LOOKED_EVERY_MS = 900_000

/** Removes what restores have replaced, once it is old. Every master does this: to remove what is gone is success. */
export function undoExpiry({ snapshots, keptForMs, clock, log }: Parts): Disposable {
  if (keptForMs === undefined) return { [Symbol.dispose]: () => undefined }
  // Whoever asks for a minute does not want to wait for a quarter of an hour.
  const everyMs = Math.min(LOOKED_EVERY_MS, Math.max(keptForMs / 4, 1_000))
  return repeat(
    clock,
    everyMs,
    () => snapshots.expire(keptForMs),
    cause => log.warn('what restores have replaced not looked at', { cause }),
  )
}
