/** Buckets of latency: each is longer than the one before by a fourth root of 2, from a quarter of a millisecond to a minute. */
const BUCKETS_OF_A_DOUBLING = 4
const SHORTEST_MS = 0.25
const LATENCY_BUCKETS = 72

const REQUESTS = 0
const ERRORS = 1
const LATENCIES = 2
const WORDS = LATENCIES + LATENCY_BUCKETS

/** Counts of the requests of an app, since whoever made this began. A number may overflow: the reader takes the difference to an earlier reading. */
export const requestCounts = (): Int32Array => new Int32Array(new SharedArrayBuffer(4 * WORDS))

/** Adds a request. Any thread may do it. */
export const countRequest = (counts: Int32Array): void => void Atomics.add(counts, REQUESTS, 1)

export const countError = (counts: Int32Array): void => void Atomics.add(counts, ERRORS, 1)

export const countLatency = (counts: Int32Array, ms: number): void =>
  void Atomics.add(counts, LATENCIES + bucketOf(ms), 1)

const bucketOf = (ms: number): number => {
  const bucket = Math.ceil(Math.log2(ms / SHORTEST_MS) * BUCKETS_OF_A_DOUBLING)
  return bucket > 0 ? Math.min(bucket, LATENCY_BUCKETS - 1) : 0
}

/** How many requests have been counted; it may overflow. */
export const requestsIn = (counts: Int32Array): number => Atomics.load(counts, REQUESTS)

export type RequestReading = {
  readonly requests: number
  readonly errors: number
  /** By their buckets; buckets without a request are left out. */
  readonly latency: Latencies
}

/** How many requests took so long, by bucket. */
export type Latencies = Readonly<Record<number, number>>

/** Reads what was counted since the last reading by the same reader. */
export class RequestReader {
  readonly #counts: Int32Array
  readonly #seen: Int32Array

  constructor(counts: Int32Array) {
    this.#counts = counts
    this.#seen = Int32Array.from(counts)
  }

  read(): RequestReading {
    const added = (at: number): number => {
      const now = Atomics.load(this.#counts, at)
      const count = (now - (this.#seen[at] ?? 0)) >>> 0
      this.#seen[at] = now
      return count
    }
    const latency: Record<number, number> = {}
    for (let bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
      const count = added(LATENCIES + bucket)
      if (count > 0) latency[bucket] = count
    }
    return { requests: added(REQUESTS), errors: added(ERRORS), latency }
  }
}

export function sumOfLatencies(all: readonly Latencies[]): Latencies {
  const sum: Record<number, number> = {}
  for (const one of all)
    for (const [bucket, count] of Object.entries(one)) sum[Number(bucket)] = (sum[Number(bucket)] ?? 0) + count
  return sum
}

/** How long the fastest part `share` of the requests took at most; null if there was none. It is exact to a fifth. */
export function quantileMs(latency: Latencies, share: number): number | null {
  const buckets = Object.entries(latency)
    .map(([bucket, count]) => ({ bucket: Number(bucket), count }))
    .toSorted((a, b) => a.bucket - b.bucket)
  const total = buckets.reduce((sum, { count }) => sum + count, 0)
  if (total === 0) return null
  let left = Math.max(1, Math.ceil(total * share))
  for (const { bucket, count } of buckets) {
    if (left > count) {
      left -= count
      continue
    }
    // Requests of a bucket are taken to be spread evenly over it.
    const within = bucket - 1 + left / count
    return Math.round(SHORTEST_MS * 2 ** (Math.max(0, within) / BUCKETS_OF_A_DOUBLING) * 100) / 100
  }
  return null
}
