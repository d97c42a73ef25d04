import type { AppName, NodeName } from '../../model/names.ts'
import type { SeriesRange } from '../../model/series.ts'
import type { AppEvent } from '../../model/timeline.ts'
import type { Sample, SeriesStep } from './samples.ts'
import type { EventsQuery, NewEvent } from './store.ts'

export type HistoryThreadData = { readonly folder: string; readonly node: NodeName }

/** The calls of the thread that has the store: see `HistoryStore`. */
export type HistoryMethods = {
  add(input: { readonly events: readonly NewEvent[]; readonly samples: readonly Sample[] }): void
  events(input: EventsQuery & { readonly app: AppName }): readonly AppEvent[]
  series(input: SeriesRange & { readonly app: AppName }): readonly SeriesStep[]
  /** `from`: the start of the first hour, in seconds since 1970. */
  activity(input: {
    readonly apps: readonly AppName[]
    readonly from: number
  }): readonly { readonly app: AppName; readonly hours: readonly number[] }[]
  forget(input: AppName): void
}
