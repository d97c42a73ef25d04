import { ShadowError } from '../errors.ts'
import { AbsentKeys } from './absent-keys.ts'
import type { CacheOptions } from './cache-options.ts'
import { type Entries, NOT_CHECKED } from './entries.ts'

/** `isDoubted`: during the fetch, the value was said to have changed. */
type Fetch<V> = { readonly fetching: Promise<V>; isDoubted: boolean }

/** Fetches of keys without a cached value: one at a time for each key. The answers are added to the cache. */
export class FirstFetches<K, V> {
  readonly #options: CacheOptions<K, V>
  readonly #entries: Entries<K, V>
  readonly #source: { answers: boolean }
  readonly #fetches = new Map<K, Fetch<V>>()
  readonly #absent: AbsentKeys<K>

  /** Each fetch sets `source.answers`. */
  constructor(options: CacheOptions<K, V>, entries: Entries<K, V>, source: { answers: boolean }) {
    const { clock, freshness, absent } = options
    this.#options = options
    this.#entries = entries
    this.#source = source
    this.#absent = new AbsentKeys({ clock, freshness, absent })
  }

  /** Fetches the key, or joins the running fetch; throws the error of an absent key. */
  fetch(key: K): Promise<V> {
    const { absent, mayFetch } = this.#options
    const running = this.running(key)
    if (running !== undefined) return running
    if (absent !== undefined && (this.#absent.has(key) || mayFetch?.(key) === false)) throw absent.error(key)
    const fetching = this.#fetch(key).finally(() => this.#fetches.delete(key))
    this.#fetches.set(key, { fetching, isDoubted: false })
    return fetching
  }

  running(key: K): Promise<V> | undefined {
    return this.#fetches.get(key)?.fetching
  }

  /** The key may have a value now, or another one than the running fetch will return. */
  doubt(key: K): void {
    this.#absent.delete(key)
    const running = this.#fetches.get(key)
    if (running !== undefined) running.isDoubted = true
  }

  async #fetch(key: K): Promise<V> {
    const { fetch, failed, freshness, clock, store } = this.#options
    const { term } = freshness
    try {
      const answer = await fetch(key, undefined)
      this.#source.answers = true
      if (answer === 'same') throw new ShadowError('internal', 'the source knows a version that we do not')
      const checkedIn = this.#fetches.get(key)?.isDoubted ? NOT_CHECKED : term
      store?.keep(key, answer)
      this.#entries.enter(key, answer, { checkedIn, fetchedAt: clock.now() })
      return answer.value
    } catch (error) {
      const failure = failed(error, key, true)
      this.#source.answers = failure !== 'serve'
      if (failure === 'gone') this.#gone(key)
      const kept = failure === 'serve' ? store?.read?.(key) : undefined
      if (kept === undefined) throw error
      this.#entries.enter(key, kept, { checkedIn: NOT_CHECKED, fetchedAt: clock.now() })
      return kept.value
    }
  }

  /** The source said that the key has no value. */
  #gone(key: K): void {
    this.#options.store?.forget(key)
    // The value was said to have changed during the fetch, so the answer may be older than the change.
    if (!this.#fetches.get(key)?.isDoubted) this.#absent.add(key)
  }
}
