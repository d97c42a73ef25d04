import { resolvesWithin } from '../abort.ts'
import type { CacheOptions, Versioned } from './cache-options.ts'
import { Entries, type Entry, NOT_CHECKED } from './entries.ts'
import { FirstFetches } from './first-fetches.ts'

/**
 * While no stream reports changes, a value in use is fetched again at most this often. Together with `waitMs`, this bounds how
 * late a change is seen. @internal
 */
export const FETCH_AGAIN_AFTER_MS = 1_000

/**
 * A cache of values that a source elsewhere owns, by key. A value is
 *
 * - fresh, if it was checked in this term and the source goes on confirming that it has sent all changes: the value is served at once;
 * - unchecked, if the term is new or the value is said to have changed: the value is fetched first, for at most `waitMs`;
 * - in doubt, while no stream reports changes: the value is fetched first if the last fetch is more than FETCH_AGAIN_AFTER_MS ago. A source
 *   that did not answer is not waited for again: the last value is served, and the value is fetched in the background;
 * - absent, for a short time after the source said that there is none.
 *
 * There is one fetch at a time for each key, which all callers share.
 */
export class Cache<K, V> {
  readonly #options: CacheOptions<K, V>
  readonly #entries: Entries<K, V>
  readonly #firsts: FirstFetches<K, V>
  /** Whether the source answered the last fetch. */
  readonly #source = { answers: true }

  constructor(options: CacheOptions<K, V>) {
    this.#options = options
    this.#entries = new Entries(options)
    this.#firsts = new FirstFetches(options, this.#entries, this.#source)
  }

  /** The value to serve, by the rules above. For a key without a value it throws, or rejects with, the error of the source. */
  get(key: K): V | Promise<V> {
    const entry = this.#entries.get(key)
    if (entry === undefined) return this.#firsts.fetch(key)
    const { clock, freshness, staleAfterMs = Number.POSITIVE_INFINITY } = this.#options
    const now = clock.now()
    entry.usedAt = now
    if (freshness.isFresh) {
      if (entry.checkedIn !== freshness.term) return this.#checked(key, entry)
      if (now - entry.fetchedAt >= staleAfterMs) this.checkBehind(key)
      return entry.value
    }
    if (now - entry.fetchedAt < FETCH_AGAIN_AFTER_MS) return entry.value
    if (this.#source.answers) return this.#checked(key, entry)
    this.checkBehind(key)
    return entry.value
  }

  /** The value if it is fresh; undefined otherwise. */
  fresh(key: K): V | undefined {
    const { freshness } = this.#options
    const entry = this.#entries.get(key)
    return freshness.isFresh && entry?.checkedIn === freshness.term ? entry.value : undefined
  }

  /** The last known value; undefined if there is none. */
  known(key: K): V | undefined {
    return this.#entries.get(key)?.value
  }

  /** Fetches the value, then returns it. If a value is known, it waits for at most `waitMs`. */
  async checked(key: K): Promise<V> {
    const entry = this.#entries.get(key)
    return entry === undefined ? this.#firsts.fetch(key) : this.#checked(key, entry)
  }

  /** Fetches a known value in the background, unless it did so within FETCH_AGAIN_AFTER_MS. */
  checkBehind(key: K): void {
    const entry = this.#entries.get(key)
    if (entry === undefined || this.#options.clock.now() - entry.fetchedAt < FETCH_AGAIN_AFTER_MS) return
    this.#check(key, entry).catch(() => undefined) // the next caller that wants the value gets the error
  }

  /** The value may have changed: it is fetched before it is served again. */
  doubt(key: K): void {
    this.#firsts.doubt(key)
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.checkedIn = NOT_CHECKED
    entry.changes++
  }

  /** The value has changed: fetches it now if it is known. Never fails; resolves with whether the source has answered. */
  async changed(key: K): Promise<boolean> {
    this.doubt(key)
    const first = this.#firsts.running(key)
    if (first !== undefined) {
      const fetchAgain = (): Promise<boolean> => this.changed(key)
      first.then(fetchAgain, () => undefined)
      return true
    }
    const entry = this.#entries.get(key)
    if (entry === undefined) return true
    await entry.fetching?.catch(() => undefined) // that fetch may have begun before the change
    if (this.#entries.get(key) !== entry) return true
    return this.#check(key, entry).then(
      () => entry.checkedIn !== NOT_CHECKED,
      () => true,
    )
  }

  /** Adds a value from the store, unchecked. */
  load(key: K, document: Versioned<V>): void {
    this.#entries.load(key, document, { checkedIn: NOT_CHECKED, fetchedAt: Number.NEGATIVE_INFINITY })
  }

  /** Removes the value here and in the store. */
  forget(key: K): void {
    if (this.#entries.drop(key)) this.#options.store?.forget(key)
  }

  get all(): readonly (readonly [K, V])[] {
    return this.#entries.all.map(([key, { value }]) => [key, value])
  }

  /** Keys whose value was not checked in this term, those with the oldest check first. */
  get unchecked(): readonly K[] {
    const { term } = this.#options.freshness
    const unchecked = this.#entries.all.filter(([, { checkedIn }]) => checkedIn !== term)
    return unchecked.sort(([, a], [, b]) => a.checkedIn - b.checkedIn).map(([key]) => key)
  }

  /** Keys whose value was used within the last `ms`. */
  usedWithin(ms: number): readonly K[] {
    const since = this.#options.clock.now() - ms
    return this.#entries.all.filter(([, { usedAt }]) => usedAt >= since).map(([key]) => key)
  }

  async #checked(key: K, entry: Entry<V>): Promise<V> {
    const { clock, waitMs } = this.#options
    if (!(await resolvesWithin(this.#check(key, entry), clock, waitMs))) this.#source.answers = false
    return entry.value
  }

  // No await between reading `fetching` and assigning it: otherwise two fetches could start.
  #check(key: K, entry: Entry<V>): Promise<V> {
    entry.fetching ??= this.#fetch(key, entry).finally(() => {
      entry.fetching = undefined
    })
    return entry.fetching
  }

  async #fetch(key: K, entry: Entry<V>): Promise<V> {
    const { fetch, failed, freshness, clock, store } = this.#options
    const { term } = freshness
    const { changes } = entry
    try {
      const answer = await fetch(key, { value: entry.value, version: entry.version })
      this.#source.answers = true
      if (this.#entries.get(key) !== entry) return answer === 'same' ? entry.value : answer.value // it was removed meanwhile
      if (answer !== 'same') {
        store?.keep(key, answer)
        this.#entries.replace(key, entry, answer)
      }
      if (entry.changes === changes) entry.checkedIn = term
    } catch (error) {
      const failure = failed(error, key, false)
      this.#source.answers = failure !== 'serve'
      if (failure === 'gone') this.forget(key)
      if (failure !== 'serve') throw error
    } finally {
      entry.fetchedAt = clock.now()
    }
    return entry.value
  }
}
