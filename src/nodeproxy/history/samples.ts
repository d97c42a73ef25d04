import type { AppName } from '../../model/names.ts'
import type { Latencies } from '../../model/request-counts.ts'

/** What an app was given and used on this node within a time. */
export type Use = {
  readonly awakeMs: number
  readonly requests: number
  readonly errors: number
  readonly latency: Latencies
  readonly cpuMs: number
  /** The most that was in use; 0: it was not read. */
  readonly memoryBytes: number
}

/** A use around the time `at`, in seconds since 1970. */
export type Sample = Use & { readonly app: AppName; readonly at: number }

/** The uses of one step of a series; `at`: its start. */
export type SeriesStep = Use & { readonly at: number }
