import type { Clock } from '../../src/lib/clock.ts'

type Event = { readonly at: number; readonly order: number; readonly run: () => void | Promise<void>; isOff: boolean }

const EPOCH = Date.UTC(2026, 0, 1)

/**
 * A virtual clock: time stands still while an event runs, and then moves to the next event. Events of the same moment run in the order in
 * which they were added. The queue is a binary heap, since a simulated day has millions of events.
 */
export class EventQueue implements Clock {
  #now = 0
  #added = 0
  readonly #heap: Event[] = []

  now(): number {
    return this.#now
  }

  wall(): number {
    return EPOCH + this.#now
  }

  after(ms: number, callback: () => void | Promise<void>): Disposable {
    const event: Event = { at: this.#now + Math.max(0, ms), order: this.#added++, run: callback, isOff: false }
    this.#push(event)
    return {
      [Symbol.dispose]: () => {
        event.isOff = true
      },
    }
  }

  /** Calls back after each `ms`, for as long as the queue is run. */
  every(ms: number, callback: () => void | Promise<void>): void {
    this.after(ms, async () => {
      await callback()
      this.every(ms, callback)
    })
  }

  /** Runs all events up to this moment, each to its end, and leaves the clock there. An event must not wait for a later one. */
  async runUntil(end: number): Promise<void> {
    for (let next = this.#heap[0]; next !== undefined && next.at <= end; next = this.#heap[0]) {
      this.#pop()
      if (next.isOff) continue
      this.#now = next.at
      const running = next.run()
      if (running !== undefined) await running
    }
    this.#now = Math.max(this.#now, end)
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above] as Event
      if (isBefore(parent, event)) break
      heap[at] = parent
      at = above
    }
    heap[at] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const [a, b] = [heap[left], heap[left + 1]]
      if (a === undefined) break
      const [child, below] = b !== undefined && isBefore(b, a) ? [b, left + 1] : [a, left]
      if (isBefore(last, child)) break
      heap[at] = child
      at = below
    }
    heap[at] = last
  }
}

const isBefore = (a: Event, b: Event): boolean => (a.at === b.at ? a.order < b.order : a.at < b.at)
