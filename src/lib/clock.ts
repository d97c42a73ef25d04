/**
 * Time, passed in so that tests can control it. All values are milliseconds. Compute a length of time from `now`, never from `wall`:
 * people and daemons change a machine's wall clock, by hours and in both directions.
 */
export interface Clock {
  /** Monotonic time: it only grows, and is no date. It is the same in all threads of a process. */
  now(): number
  /** Milliseconds since the epoch: for documents, logs and people. */
  wall(): number
  /** Calls back once after `ms`; disposing the result before that cancels the call. */
  after(ms: number, callback: () => void): Disposable
}

/** The moment of `now` as milliseconds since the epoch, by the current setting of the wall clock. */
export const wallAt = (clock: Clock, moment: number): number => moment + wallAhead(clock)

// Both clocks are read in whole milliseconds, and apart: how far one is ahead of the other seems to change by one from call to call. Without
// this a moment would be told differently each time.
const JITTER_MS = 2
const known = new WeakMap<Clock, number>()

function wallAhead(clock: Clock): number {
  const ahead = clock.wall() - clock.now()
  const before = known.get(clock)
  if (before !== undefined && Math.abs(ahead - before) <= JITTER_MS) return before
  known.set(clock, ahead)
  return ahead
}

/** The current wall time in the format of documents: ISO 8601, UTC. */
export const timestamp = (clock: Clock): string => new Date(clock.wall()).toISOString()

// Beyond this (2^31 - 1 ms, 24.8 days) setTimeout fires at once, so a longer wait is made of several.
const LONGEST_LEG_MS = 2_147_483_647

// performance.now() starts at 0 in each thread. Adding this gives the machine's monotonic clock, which all threads share.
const THREAD_BEGAN_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now()

const monotonic = (): number => Math.floor(THREAD_BEGAN_MS + performance.now())

/** The machine's own clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: monotonic,
  wall: () => Date.now(),
  after(ms, callback) {
    const due = monotonic() + ms
    let timer: NodeJS.Timeout
    const leg = (): void => {
      const left = due - monotonic()
      timer = left > LONGEST_LEG_MS ? setTimeout(leg, LONGEST_LEG_MS) : setTimeout(callback, Math.max(0, left))
      timer.unref()
    }
    leg()
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  },
}
