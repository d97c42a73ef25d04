import type { Clock } from '../lib/clock.ts'

type Alarm = { due: number; callback: () => void }

/**
 * A clock that stands still until a test moves it. `advance` runs the timers that fall due, in order, and lets promises settle in between.
 * Its wall time moves along. Only `setWall` changes the wall time alone, as a person sets a machine's clock.
 */
export class HandClock implements Clock {
  #now: number
  #wallAhead = 0
  readonly #alarms = new Set<Alarm>()

  constructor(now = 1_800_000_000_000) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  wall(): number {
    return this.#now + this.#wallAhead
  }

  /** Sets the wall clock forward by `ms`, or back if it is negative; this runs no timer. */
  setWall(ms: number): void {
    this.#wallAhead += ms
  }

  after(ms: number, callback: () => void): Disposable {
    const alarm = { due: this.#now + ms, callback }
    this.#alarms.add(alarm)
    return { [Symbol.dispose]: () => void this.#alarms.delete(alarm) }
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.#alarms.size
  }

  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    for (;;) {
      await settle()
      const next = [...this.#alarms].sort((a, b) => a.due - b.due)[0]
      if (next === undefined || next.due > end) break
      this.#now = Math.max(this.#now, next.due)
      this.#alarms.delete(next)
      next.callback()
    }
    this.#now = end
    await settle()
  }

  /** Moves the clock ahead and rings no alarm yet, as on a machine that is paused and goes on: other events may come before its timers. */
  pause(ms: number): void {
    this.#now += ms
  }

  /** Moves the clock ahead in one step: each alarm that falls due rings once. For hours, in which `advance` would ring thousands. */
  async leap(ms: number): Promise<void> {
    this.#now += ms
    for (const alarm of [...this.#alarms].sort((a, b) => a.due - b.due)) {
      if (alarm.due > this.#now || !this.#alarms.delete(alarm)) continue
      alarm.callback()
    }
    await settle()
  }
}

/** A clock that runs like the machine's and can leap ahead: for journeys over real parts, in which hours must pass. */
export class LeapingClock implements Clock {
  readonly #begun = Date.now() - performance.now()
  #ahead = 0
  #wallAhead = 0
  readonly #alarms = new Map<Alarm, NodeJS.Timeout>()

  now(): number {
    return this.#begun + performance.now() + this.#ahead
  }

  wall(): number {
    return this.now() + this.#wallAhead // not rounded: one moment must always give the same wall time
  }

  /** Sets the wall clock forward by `ms`, or back if it is negative; this runs no timer. */
  setWall(ms: number): void {
    this.#wallAhead += ms
  }

  after(ms: number, callback: () => void): Disposable {
    const alarm = { due: this.now() + ms, callback }
    this.#arm(alarm)
    return { [Symbol.dispose]: () => this.#disarm(alarm) }
  }

  /** Moves the clock ahead. Timers that fall due run now, in order. */
  leap(ms: number): void {
    this.#ahead += ms
    for (const alarm of [...this.#alarms.keys()].sort((a, b) => a.due - b.due)) {
      if (!this.#alarms.has(alarm)) continue
      this.#disarm(alarm)
      if (alarm.due <= this.now()) alarm.callback()
      else this.#arm(alarm)
    }
  }

  #arm(alarm: Alarm): void {
    const ring = (): void => {
      this.#alarms.delete(alarm)
      alarm.callback()
    }
    this.#alarms.set(alarm, setTimeout(ring, Math.min(Math.max(0, alarm.due - this.now()), 2_147_483_647)).unref())
  }

  #disarm(alarm: Alarm): void {
    clearTimeout(this.#alarms.get(alarm))
    this.#alarms.delete(alarm)
  }
}

const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
