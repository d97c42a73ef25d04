import type { Clock } from '../clock.ts'

/** A value with its version. The next fetch sends this version, so that the source answers only with a newer value. */
export type Versioned<V> = { readonly value: V; readonly version: string | null }

/**
 * What a failed fetch means. `serve`: the source gave no answer, so the last value is still served. `gone`: the value no longer exists.
 * `refused`: callers get the error.
 */
export type Failure = 'serve' | 'gone' | 'refused'

/** Keeps values across restarts. */
export type Store<K, V> = {
  /** For values that are read only when the source gives none. */
  readonly read?: (key: K) => Versioned<V> | undefined
  readonly keep: (key: K, document: Versioned<V>) => void
  readonly forget: (key: K) => void
}

/** How keys without a value are remembered; `error` is thrown for them. */
export type AbsentOptions<K> = { readonly forMs: number; readonly most: number; readonly error: (key: K) => Error }

/** How many values a cache holds, and who is informed of changes. */
export type EntriesOptions<K, V> = {
  readonly clock: Clock
  readonly most?: number
  /** Whether two values are equal; then the older object is kept. */
  readonly isSame?: (a: V, b: V) => boolean
  /** Called for each value that is added, replaced or (with undefined) removed; not for values that `load` adds. */
  readonly onChange?: (key: K, value: V | undefined, before: V | undefined) => void
}

export type CacheOptions<K, V> = EntriesOptions<K, V> & {
  /** Fetches the value; `known` is the cached value with its version. `same`: the source has nothing newer. */
  readonly fetch: (key: K, known: Versioned<V> | undefined) => Promise<Versioned<V> | 'same'>
  /** `isFirst`: no value is cached for the key. */
  readonly failed: (error: unknown, key: K, isFirst: boolean) => Failure
  /** Whether values that were checked in this term are still the newest. */
  readonly freshness: { readonly isFresh: boolean; readonly term: number }
  /** The longest wait for the source while there is a value to serve, in milliseconds. */
  readonly waitMs: number
  /** A used value with an older check is checked again in the background, even if the source confirms that it is fresh. */
  readonly staleAfterMs?: number
  readonly store?: Store<K, V>
  readonly absent?: AbsentOptions<K>
  /** Whether a new key may be fetched; false: the key counts as absent. */
  readonly mayFetch?: (key: K) => boolean
}
