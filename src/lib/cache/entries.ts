import type { EntriesOptions, Versioned } from './cache-options.ts'

export const NOT_CHECKED = -1

/** A cached value, and how new it is known to be. */
export type Entry<V> = {
  value: V
  version: string | null
  /** When the last fetch of it ended, by the clock. */
  fetchedAt: number
  /** The last term in which it was known to be the newest. */
  checkedIn: number
  usedAt: number
  /** How often the value was said to have changed: the answer of a fetch that began before a change is not trusted. */
  changes: number
  fetching?: Promise<V> | undefined
}

/** The values of a cache by key, with a maximum number: a new value replaces the oldest one. */
export class Entries<K, V> {
  readonly #options: EntriesOptions<K, V>
  readonly #all = new Map<K, Entry<V>>()

  constructor(options: EntriesOptions<K, V>) {
    this.#options = options
  }

  get(key: K): Entry<V> | undefined {
    return this.#all.get(key)
  }

  get all(): readonly (readonly [K, Entry<V>])[] {
    return [...this.#all]
  }

  /** Adds a new value and calls `onChange`. */
  enter(key: K, document: Versioned<V>, checked: Pick<Entry<V>, 'checkedIn' | 'fetchedAt'>): void {
    this.load(key, document, checked)
    this.#options.onChange?.(key, document.value, undefined)
  }

  /** Adds a new value without calling `onChange`. */
  load(key: K, { value, version }: Versioned<V>, checked: Pick<Entry<V>, 'checkedIn' | 'fetchedAt'>): void {
    const { most = Number.POSITIVE_INFINITY, clock } = this.#options
    const [oldest] = this.#all.size >= most ? this.#all.keys() : []
    if (oldest !== undefined) this.drop(oldest)
    this.#all.set(key, { value, version, ...checked, usedAt: clock.now(), changes: 0 })
  }

  replace(key: K, entry: Entry<V>, { value, version }: Versioned<V>): void {
    const before = entry.value
    entry.version = version
    if (this.#options.isSame?.(before, value)) return
    entry.value = value
    this.#options.onChange?.(key, value, before)
  }

  /** Removes the value; returns whether there was one. */
  drop(key: K): boolean {
    const entry = this.#all.get(key)
    if (entry === undefined) return false
    this.#all.delete(key)
    this.#options.onChange?.(key, undefined, entry.value)
    return true
  }
}
