import type { Clock } from '../clock.ts'

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

/** How keys without a value are remembered; `error` is thrown for them. */
export type AbsentOptions<K> = { readonly forMs: number; readonly most: number; readonly error: (key: K) => Error }

/** What a cache holds at most, and who is told of it. */
export type EntriesOptions<K, V> = {
  readonly clock: Clock
  readonly most?: number
  /** Whether two values are the same; then the older object stays. */
  readonly isSame?: (a: V, b: V) => boolean
  /** Called with each value that is entered, replaced or (with undefined) dropped; not with those that `load` enters. */
  readonly onChange?: (key: K, value: V | undefined, before: V | undefined) => void
}

export type CacheOptions<K, V> = EntriesOptions<K, V> & {
  /** Asks the source; `known` is what is kept, for a question by version. `same`: the source has nothing newer. */
  readonly ask: (key: K, known: Versioned<V> | undefined) => Promise<Versioned<V> | 'same'>
  /** `isFirst`: nothing is known under the key. */
  readonly failed: (error: unknown, key: K, isFirst: boolean) => Failure
  /** Whether values that were checked in this term are still the newest. */
  readonly freshness: { readonly isFresh: boolean; readonly term: number }
  /** The longest wait for the source while there is a value to serve, in milliseconds. */
  readonly waitMs: number
  /** A value that was checked so long ago is checked in the background when it is used, however fresh the source says it is. */
  readonly staleAfterMs?: number
  readonly store?: Store<K, V>
  readonly absent?: AbsentOptions<K>
  /** Whether the source may be asked about a key that is new; false: the key counts as absent. */
  readonly mayAsk?: (key: K) => boolean
}
