import { resolvesWithin } from './abort.ts'
import type { Clock } from './clock.ts'
import { ShadowError } from './errors.ts'

/** A value as its source gave it. `version`: what the source is asked with the next time, so that it sends only what is newer. */
export type Versioned<V> = { readonly value: V; readonly version: string | null }

/** What a failed question means. `serve`: the source gave no answer, the last value serves on. `gone`: there is none. `refused`: callers get the error. */
export type Failure = 'serve' | 'gone' | 'refused'

/** Keeps values across restarts. */
export type Store<K, V> = {
  /** For a value that is read only when the source gives none. */
  readonly read?: (key: K) => Versioned<V> | undefined
  readonly keep: (key: K, document: Versioned<V>) => void
  readonly forget: (key: K) => void
}

type Options<K, V> = {
  /** Asks the source; `known` is what is kept, for a question by version. `same`: the source has nothing newer. */
  readonly ask: (key: K, known: Versioned<V> | undefined) => Promise<Versioned<V> | 'same'>
  /** `isFirst`: nothing is known under the key. */
  readonly failed: (error: unknown, key: K, isFirst: boolean) => Failure
  /** Whether values that were checked in this term are still the newest. */
  readonly freshness: { readonly isFresh: boolean; readonly term: number }
  readonly clock: Clock
  /** The longest wait for the source while there is a value to serve, in milliseconds. */
  readonly waitMs: number
  /** A value that was checked so long ago is checked in the background when it is used, however fresh the source says it is. */
  readonly staleAfterMs?: number
  readonly most?: number
  readonly store?: Store<K, V>
  /** How keys without a value are remembered; `error` is thrown for them. */
  readonly absent?: { readonly forMs: number; readonly most: number; readonly error: (key: K) => Error }
  /** Whether the source may be asked about a key that is new; false: the key counts as absent. */
  readonly mayAsk?: (key: K) => boolean
  /** Whether two values are the same; then the older object stays. */
  readonly isSame?: (a: V, b: V) => boolean
  /** Called with each value that is entered, replaced or (with undefined) dropped; not with those that `load` enters. */
  readonly onChange?: (key: K, value: V | undefined, before: V | undefined) => void
}

type Entry<V> = {
  value: V
  version: string | null
  /** When the last question about it ended, by the clock. */
  askedAt: number
  /** The term in which it was last known to be the newest. */
  checkedIn: number
  usedAt: number
  /** How often it was said to have changed: an answer to a question from before is not trusted. */
  changes: number
  asking?: Promise<V> | undefined
}

/** The first question about a key; `isDoubted`: the value was said to have changed meanwhile. */
type First<V> = { readonly asking: Promise<V>; isDoubted: boolean }

const NOT_CHECKED = -1
/** While nobody says what is newest, the source is asked about a value in use so often. With `waitMs` it is how late a change is seen. */
export const ASK_AGAIN_AFTER_MS = 1_000

/**
 * Values of a source that is elsewhere, by key. A value is
 *
 * - fresh, if it was checked in this term and the source goes on to say that it has told all changes: it serves at once;
 * - unchecked, if the term is new or it is said to have changed: the source is asked first, for at most `waitMs`;
 * - in doubt, while nobody says what is newest: the source is asked first if the last question was more than ASK_AGAIN_AFTER_MS ago. A
 *   source that does not answer is not waited for again: the last value serves and the source is asked in the background;
 * - absent, for a moment after the source said that there is none.
 *
 * There is one question at a time for each key, for all who want it.
 */
export class Cache<K, V> {
  readonly #options: Options<K, V>
  readonly #entries = new Map<K, Entry<V>>()
  readonly #firsts = new Map<K, First<V>>()
  readonly #absent = new Map<K, { readonly until: number; readonly term: number }>()
  #sourceAnswers = true

  constructor(options: Options<K, V>) {
    this.#options = options
  }

  /** The value to serve, by the rules above; throws or rejects with what the source said of a key that has none. */
  get(key: K): V | Promise<V> {
    const entry = this.#entries.get(key)
    if (entry === undefined) return this.#first(key)
    const { clock, freshness, staleAfterMs = Number.POSITIVE_INFINITY } = this.#options
    const now = clock.now()
    entry.usedAt = now
    if (freshness.isFresh) {
      if (entry.checkedIn !== freshness.term) return this.#checked(key, entry)
      if (now - entry.askedAt >= staleAfterMs) this.checkBehind(key)
      return entry.value
    }
    if (now - entry.askedAt < ASK_AGAIN_AFTER_MS) return entry.value
    if (this.#sourceAnswers) return this.#checked(key, entry)
    this.checkBehind(key)
    return entry.value
  }

  /** The value if it is fresh. */
  fresh(key: K): V | undefined {
    const { freshness } = this.#options
    const entry = this.#entries.get(key)
    return freshness.isFresh && entry?.checkedIn === freshness.term ? entry.value : undefined
  }

  /** The last known value. */
  known(key: K): V | undefined {
    return this.#entries.get(key)?.value
  }

  /** The value after the source was asked, for at most `waitMs` where there is one. */
  async checked(key: K): Promise<V> {
    const entry = this.#entries.get(key)
    return entry === undefined ? this.#first(key) : this.#checked(key, entry)
  }

  /** Asks about a known value in the background, unless that was done within ASK_AGAIN_AFTER_MS. */
  checkBehind(key: K): void {
    const entry = this.#entries.get(key)
    if (entry === undefined || this.#options.clock.now() - entry.askedAt < ASK_AGAIN_AFTER_MS) return
    this.#check(key, entry).catch(() => undefined) // whoever wants the value next is told
  }

  /** The value may be another: the source is asked before it serves again. */
  doubt(key: K): void {
    this.#absent.delete(key)
    const first = this.#firsts.get(key)
    if (first !== undefined) first.isDoubted = true
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.checkedIn = NOT_CHECKED
    entry.changes++
  }

  /** The value is another: asks about it now, where it is known. Never fails; resolves with whether the source has answered. */
  async changed(key: K): Promise<boolean> {
    this.doubt(key)
    const first = this.#firsts.get(key)
    if (first !== undefined) {
      const asksAgain = (): Promise<boolean> => this.changed(key)
      first.asking.then(asksAgain, () => undefined)
      return true
    }
    const entry = this.#entries.get(key)
    if (entry === undefined) return true
    await entry.asking?.catch(() => undefined) // it may have been asked before the change
    if (this.#entries.get(key) !== entry) return true
    return this.#check(key, entry).then(
      () => entry.checkedIn !== NOT_CHECKED,
      () => true,
    )
  }

  /** Enters a value that was kept, unchecked. */
  load(key: K, document: Versioned<V>): void {
    this.#enter(key, document, { checkedIn: NOT_CHECKED, askedAt: Number.NEGATIVE_INFINITY })
  }

  /** Drops the value here and in the store. */
  forget(key: K): void {
    if (this.#drop(key)) this.#options.store?.forget(key)
  }

  get all(): readonly (readonly [K, V])[] {
    return [...this.#entries].map(([key, { value }]) => [key, value])
  }

  /** Keys whose value was not checked in this term; first those whose check is longest ago. */
  get unchecked(): readonly K[] {
    const { term } = this.#options.freshness
    const unchecked = [...this.#entries].filter(([, { checkedIn }]) => checkedIn !== term)
    return unchecked.sort(([, a], [, b]) => a.checkedIn - b.checkedIn).map(([key]) => key)
  }

  /** Keys whose value was used within `ms`. */
  usedWithin(ms: number): readonly K[] {
    const since = this.#options.clock.now() - ms
    return [...this.#entries].filter(([, { usedAt }]) => usedAt >= since).map(([key]) => key)
  }

  async #checked(key: K, entry: Entry<V>): Promise<V> {
    const { clock, waitMs } = this.#options
    if (!(await resolvesWithin(this.#check(key, entry), clock, waitMs))) this.#sourceAnswers = false
    return entry.value
  }

  // No await between the look at `asking` and its assignment: two questions would slip in.
  #check(key: K, entry: Entry<V>): Promise<V> {
    entry.asking ??= this.#ask(key, entry).finally(() => {
      entry.asking = undefined
    })
    return entry.asking
  }

  async #ask(key: K, entry: Entry<V>): Promise<V> {
    const { ask, failed, freshness, clock, store } = this.#options
    const { term } = freshness
    const { changes } = entry
    try {
      const answer = await ask(key, { value: entry.value, version: entry.version })
      this.#sourceAnswers = true
      if (this.#entries.get(key) !== entry) return answer === 'same' ? entry.value : answer.value // it was dropped meanwhile
      if (answer !== 'same') {
        store?.keep(key, answer)
        this.#replace(key, entry, answer)
      }
      if (entry.changes === changes) entry.checkedIn = term
    } catch (error) {
      const failure = failed(error, key, false)
      this.#sourceAnswers = failure !== 'serve'
      if (failure === 'gone') this.forget(key)
      if (failure !== 'serve') throw error
    } finally {
      entry.askedAt = clock.now()
    }
    return entry.value
  }

  #first(key: K): Promise<V> {
    const { absent, freshness, clock, mayAsk } = this.#options
    const first = this.#firsts.get(key)
    if (first !== undefined) return first.asking
    const until = this.#absent.get(key)
    if (absent !== undefined) {
      if (until !== undefined && until.until > clock.now() && until.term === freshness.term) throw absent.error(key)
      if (mayAsk?.(key) === false) throw absent.error(key)
    }
    const asking = this.#askFirst(key).finally(() => this.#firsts.delete(key))
    this.#firsts.set(key, { asking, isDoubted: false })
    return asking
  }

  async #askFirst(key: K): Promise<V> {
    const { ask, failed, freshness, clock, store, onChange } = this.#options
    const { term } = freshness
    try {
      const answer = await ask(key, undefined)
      this.#sourceAnswers = true
      if (answer === 'same') throw new ShadowError('internal', 'the source knows a version that we do not')
      const checkedIn = this.#firsts.get(key)?.isDoubted ? NOT_CHECKED : term
      store?.keep(key, answer)
      this.#enter(key, answer, { checkedIn, askedAt: clock.now() })
      onChange?.(key, answer.value, undefined)
      return answer.value
    } catch (error) {
      const failure = failed(error, key, true)
      this.#sourceAnswers = failure !== 'serve'
      if (failure === 'gone') this.#isAbsent(key)
      const kept = failure === 'serve' ? store?.read?.(key) : undefined
      if (kept === undefined) throw error
      this.#enter(key, kept, { checkedIn: NOT_CHECKED, askedAt: clock.now() })
      onChange?.(key, kept.value, undefined)
      return kept.value
    }
  }

  #enter(key: K, document: Versioned<V>, { checkedIn, askedAt }: Pick<Entry<V>, 'checkedIn' | 'askedAt'>): void {
    const { most = Number.POSITIVE_INFINITY, clock } = this.#options
    if (this.#entries.size >= most) for (const oldest of this.#entries.keys()) if (this.#drop(oldest)) break
    const { value, version } = document
    this.#entries.set(key, { value, version, askedAt, checkedIn, usedAt: clock.now(), changes: 0 })
  }

  #replace(key: K, entry: Entry<V>, { value, version }: Versioned<V>): void {
    const before = entry.value
    entry.version = version
    if (this.#options.isSame?.(before, value)) return
    entry.value = value
    this.#options.onChange?.(key, value, before)
  }

  #drop(key: K): boolean {
    const entry = this.#entries.get(key)
    if (entry === undefined) return false
    this.#entries.delete(key)
    this.#options.onChange?.(key, undefined, entry.value)
    return true
  }

  #isAbsent(key: K): void {
    const { absent, clock, freshness, store } = this.#options
    store?.forget(key)
    // Said to have a value while it was asked about: the answer may be from before.
    if (absent === undefined || this.#firsts.get(key)?.isDoubted) return
    const [oldest] = this.#absent.size >= absent.most ? this.#absent.keys() : []
    if (oldest !== undefined) this.#absent.delete(oldest)
    this.#absent.set(key, { until: clock.now() + absent.forMs, term: freshness.term })
  }
}
