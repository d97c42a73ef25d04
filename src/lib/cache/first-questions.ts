import { ShadowError } from '../errors.ts'
import { AbsentKeys } from './absent-keys.ts'
import type { CacheOptions } from './cache-options.ts'
import { type Entries, NOT_CHECKED } from './entries.ts'

/** `isDoubted`: during the question, the value was said to have changed. */
type Question<V> = { readonly asking: Promise<V>; isDoubted: boolean }

/** Questions to the source about keys without a cached value: one at a time for each key. The answers are added to the cache. */
export class FirstQuestions<K, V> {
  readonly #options: CacheOptions<K, V>
  readonly #entries: Entries<K, V>
  readonly #source: { answers: boolean }
  readonly #questions = new Map<K, Question<V>>()
  readonly #absent: AbsentKeys<K>

  /** Each question sets `source.answers`. */
  constructor(options: CacheOptions<K, V>, entries: Entries<K, V>, source: { answers: boolean }) {
    const { clock, freshness, absent } = options
    this.#options = options
    this.#entries = entries
    this.#source = source
    this.#absent = new AbsentKeys({ clock, freshness, absent })
  }

  /** Asks, or joins the running question; throws the error of an absent key. */
  ask(key: K): Promise<V> {
    const { absent, mayAsk } = this.#options
    const running = this.running(key)
    if (running !== undefined) return running
    if (absent !== undefined && (this.#absent.has(key) || mayAsk?.(key) === false)) throw absent.error(key)
    const asking = this.#ask(key).finally(() => this.#questions.delete(key))
    this.#questions.set(key, { asking, isDoubted: false })
    return asking
  }

  running(key: K): Promise<V> | undefined {
    return this.#questions.get(key)?.asking
  }

  /** The key may have a value now, or another one than the running question will return. */
  doubt(key: K): void {
    this.#absent.delete(key)
    const question = this.#questions.get(key)
    if (question !== undefined) question.isDoubted = true
  }

  async #ask(key: K): Promise<V> {
    const { ask, failed, freshness, clock, store } = this.#options
    const { term } = freshness
    try {
      const answer = await ask(key, undefined)
      this.#source.answers = true
      if (answer === 'same') throw new ShadowError('internal', 'the source knows a version that we do not')
      const checkedIn = this.#questions.get(key)?.isDoubted ? NOT_CHECKED : term
      store?.keep(key, answer)
      this.#entries.enter(key, answer, { checkedIn, askedAt: clock.now() })
      return answer.value
    } catch (error) {
      const failure = failed(error, key, true)
      this.#source.answers = failure !== 'serve'
      if (failure === 'gone') this.#gone(key)
      const kept = failure === 'serve' ? store?.read?.(key) : undefined
      if (kept === undefined) throw error
      this.#entries.enter(key, kept, { checkedIn: NOT_CHECKED, askedAt: clock.now() })
      return kept.value
    }
  }

  /** The source said that the key has no value. */
  #gone(key: K): void {
    this.#options.store?.forget(key)
    // The value was said to have changed during the question, so the answer may be older than the change.
    if (!this.#questions.get(key)?.isDoubted) this.#absent.add(key)
  }
}
