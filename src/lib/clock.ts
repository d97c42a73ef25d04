/** Time as it is given to whoever needs it, so that tests can move it. All values are milliseconds. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls back once after `ms`; disposing it before then takes the call back. */
  after(ms: number, callback: () => void): Disposable
}

// setTimeout fires at once beyond this (2^31 - 1 ms, 24.8 days); a longer wait is taken in legs.
const LONGEST_LEG_MS = 2_147_483_647

/** The machine's own clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    const due = Date.now() + ms
    let timer: NodeJS.Timeout
    const leg = (): void => {
      const left = due - Date.now()
      timer = left > LONGEST_LEG_MS ? setTimeout(leg, LONGEST_LEG_MS) : setTimeout(callback, Math.max(0, left))
      timer.unref()
    }
    leg()
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  },
}
