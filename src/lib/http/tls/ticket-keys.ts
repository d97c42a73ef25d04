import { randomBytes } from 'node:crypto'
import type { Clock } from '../../clock.ts'

const KEY_BYTES = 48
const NEW_EVERY_MS = 12 * 3_600_000

/** What tickets for resuming a session are sealed with, 48 bytes at a time; the same for all who share a port. */
export class TicketKeys {
  #current: Uint8Array
  readonly #onNew: ((keys: Uint8Array) => void)[] = []

  constructor(first = newKeys()) {
    this.#current = first
  }

  get current(): Uint8Array {
    return this.#current
  }

  /** Calls back with those that take the place of the current ones. */
  onNew(then: (keys: Uint8Array) => void): void {
    this.#onNew.push(then)
  }

  /** Seals with these from now on. Those before are not kept: node:tls knows one set at a time. */
  replace(keys = newKeys()): void {
    this.#current = keys
    for (const then of this.#onNew) then(keys)
  }
}

/**
 * Replaces the keys twice a day (RFC 5077, 5.5): who gets hold of them reads no session of the days before. A ticket of the keys
 * before leads to a whole handshake.
 */
export function renewed(keys: TicketKeys, clock: Clock): Disposable {
  let alarm: Disposable
  const wait = (): void => {
    alarm = clock.after(NEW_EVERY_MS, () => {
      keys.replace()
      wait()
    })
  }
  wait()
  return { [Symbol.dispose]: () => alarm[Symbol.dispose]() }
}

// An array of its own: a slice of a larger one would cross to another thread with all of it.
const newKeys = (): Uint8Array => new Uint8Array(randomBytes(KEY_BYTES))
