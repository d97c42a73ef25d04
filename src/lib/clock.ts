/**
 * Time as it is given to whoever needs it, so that tests can move it. All values are milliseconds. Lengths of time are differences
 * of `now`, never of `wall`: people and daemons set a machine's wall clock, by hours and either way.
 */
export interface Clock {
  /** Monotonic: it only goes forward, and says nothing about the date. The same in all threads of a process. */
  now(): number
  /** Milliseconds since the epoch: for documents, logs and people. */
  wall(): number
  /** Calls back once after `ms`; disposing it before then takes the call back. */
  after(ms: number, callback: () => void): Disposable
}

/** When a moment of `now` is, in milliseconds since the epoch, by the wall clock as it is set at present. */
export const wallAt = (clock: Clock, moment: number): number => clock.wall() + moment - clock.now()

/** The wall time at present as documents have it: ISO 8601, UTC. */
export const timestamp = (clock: Clock): string => new Date(clock.wall()).toISOString()

// setTimeout fires at once beyond this (2^31 - 1 ms, 24.8 days); a longer wait is taken in legs.
const LONGEST_LEG_MS = 2_147_483_647

// performance.now() begins anew in each thread; this makes it the machine's monotonic clock, which all threads share.
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
