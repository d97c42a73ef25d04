import type { Clock } from '../clock.ts'
import type { AbsentOptions } from './cache-options.ts'

type Options<K> = {
  readonly clock: Clock
  readonly freshness: { readonly term: number }
  readonly absent: AbsentOptions<K> | undefined
}

/** Keys for which the source said that they have no value. For a short time in the same term, they are not fetched again. */
export class AbsentKeys<K> {
  readonly #options: Options<K>
  readonly #all = new Map<K, { readonly until: number; readonly term: number }>()

  constructor(options: Options<K>) {
    this.#options = options
  }

  has(key: K): boolean {
    const { clock, freshness } = this.#options
    const known = this.#all.get(key)
    return known !== undefined && known.until > clock.now() && known.term === freshness.term
  }

  add(key: K): void {
    const { absent, clock, freshness } = this.#options
    if (absent === undefined) return
    const [oldest] = this.#all.size >= absent.most ? this.#all.keys() : []
    if (oldest !== undefined) this.#all.delete(oldest)
    this.#all.set(key, { until: clock.now() + absent.forMs, term: freshness.term })
  }

  delete(key: K): void {
    this.#all.delete(key)
  }
}
