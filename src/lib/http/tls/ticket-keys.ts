import { randomBytes } from 'node:crypto'
import type { Clock } from '../../clock.ts'

const KEY_BYTES = 48
const NEW_EVERY_MS = 12 * 3_600_000

/** The 48 bytes of keys that session tickets are encrypted with. All threads that share a port have the same. */
export class TicketKeys {
  #current: Uint8Array
  readonly #onNew: ((keys: Uint8Array) => void)[] = []

  constructor(first = newKeys()) {
    this.#current = first
  }

  get current(): Uint8Array {
    return this.#current
  }

  /** Calls back with the new keys whenever they are replaced. */
  onNew(then: (keys: Uint8Array) => void): void {
    this.#onNew.push(then)
  }

  /** Uses these keys from now on. The keys before are dropped, since node:tls knows one set at a time. */
  replace(keys = newKeys()): void {
    this.#current = keys
    for (const then of this.#onNew) then(keys)
  }
}

/**
 * Replaces the keys twice a day (RFC 5077, 5.5), so that stolen keys decrypt no session of the days before. A client with an older ticket makes a
 * full handshake.
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

// An array of its own: of a slice, the whole array would be copied to other threads.
const newKeys = (): Uint8Array => new Uint8Array(randomBytes(KEY_BYTES))
