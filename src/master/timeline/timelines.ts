import type { CallAnswer, HandlerInput } from '../../api/call-shape.ts'
import type { historyCalls } from '../../api/history-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import { activityFrom, HOURS_OF_ACTIVITY, seriesRange } from '../../model/series.ts'
import { cursorOf, isBefore, newestFirst } from '../../model/timeline.ts'
import { type MasterEventParts, masterEvents } from './master-events.ts'

type Calls = typeof historyCalls
type Parts = MasterEventParts & { readonly clock: Clock }

export type Timelines = ReturnType<typeof appTimelines>

/** What has happened to apps, from what masters know. */
export function appTimelines(parts: Parts) {
  const { clock } = parts
  return {
    async page(
      app: App,
      { before, limit, kind }: HandlerInput<Calls['getTimeline']>['query'],
    ): Promise<CallAnswer<Calls['getTimeline']>> {
      const all = (await masterEvents(parts, app))
        .filter(event => isBefore(event, before) && (kind === undefined || kind.includes(event.kind)))
        .toSorted(newestFirst)
      const items = all.slice(0, limit)
      const last = items.at(-1)
      return { items, next: last !== undefined && all.length > limit ? cursorOf(last) : null, silent: [] }
    },

    async series(
      _: App,
      { from, to, points }: HandlerInput<Calls['getSeries']>['query'],
    ): Promise<CallAnswer<Calls['getSeries']>> {
      const now = Math.floor(clock.wall() / 1_000)
      const until = to === undefined ? now : Math.floor(Date.parse(to) / 1_000)
      const since = from === undefined ? until - 3_600 : Math.floor(Date.parse(from) / 1_000)
      const range = seriesRange({ from: since, to: until, points }, now)
      const count = (range.to - range.from) / range.stepSeconds
      const nothing = (): null[] => Array.from({ length: count }, () => null)
      return {
        from: iso(range.from),
        to: iso(range.to),
        stepSeconds: range.stepSeconds,
        times: Array.from({ length: count }, (_, at) => range.from + at * range.stepSeconds),
        requests: nothing(),
        errors: nothing(),
        p50Ms: nothing(),
        p95Ms: nothing(),
        memoryBytes: nothing(),
        cpuPercent: nothing(),
        awake: Array.from({ length: count }, () => 0),
        silent: [],
      }
    },

    async activity(apps: readonly AppName[]): Promise<CallAnswer<Calls['getActivity']>> {
      const from = activityFrom(clock.wall() / 1_000)
      const hours = () => Array.from({ length: HOURS_OF_ACTIVITY }, () => 0)
      return { from: iso(from), items: apps.map(app => ({ app, hours: hours() })), silent: [] }
    },
  }
}

const iso = (seconds: number): string => new Date(seconds * 1_000).toISOString()
