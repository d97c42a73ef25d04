import type { CallAnswer, HandlerInput } from '../../api/call-shape.ts'
import type { historyCalls } from '../../api/history-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import { activityFrom, HOURS_OF_ACTIVITY, seriesRange } from '../../model/series.ts'
import { cursorOf, isBefore, newestFirst } from '../../model/timeline.ts'
import type { Relay } from '../relay.ts'
import { type MasterEventParts, masterEvents } from './master-events.ts'
import { mergedSeries, shareOf } from './merged-series.ts'

type Calls = typeof historyCalls
type Parts = MasterEventParts & { readonly relay: Pick<Relay, 'askEach'>; readonly clock: Clock }

/** The clock of a node may be so far behind that of the master by which an app was made. */
const CLOCKS_DIFFER_MS = 10_000
const HOUR_S = 3_600

export type Timelines = ReturnType<typeof appTimelines>

/** What has happened to apps and what they used, from what masters know and what the nodes keep. Nothing is woken for it. */
export function appTimelines({ relay, clock, ...own }: Parts) {
  const nowS = (): number => Math.floor(clock.wall() / 1_000)
  /** Nodes may still have the history of a removed app of the same name, which may have been somebody else's. */
  const beganAt = ({ createdAt }: App): number => Date.parse(createdAt) - CLOCKS_DIFFER_MS

  return {
    async page(
      app: App,
      { before, limit, kind }: HandlerInput<Calls['getTimeline']>['query'],
    ): Promise<CallAnswer<Calls['getTimeline']>> {
      const query = {
        limit: limit + 1,
        ...(before && { before: cursorOf(before) }),
        ...(kind && { kind: kind.join() }),
      }
      const [mastersOwn, { answers, silent }] = await Promise.all([
        masterEvents(own, app, kind),
        relay.askEach(node => node.call('listEvents', { params: { app: app.name }, query })),
      ])
      const ofNodes = answers.flatMap(({ items }) => items).filter(({ at }) => Date.parse(at) >= beganAt(app))
      const all = [...mastersOwn, ...ofNodes].filter(event => isBefore(event, before)).toSorted(newestFirst)
      const items = all.slice(0, limit)
      const last = items.at(-1)
      return { items, next: last !== undefined && all.length > limit ? cursorOf(last) : null, silent }
    },

    async series(
      app: App,
      { from, to, points }: HandlerInput<Calls['getSeries']>['query'],
    ): Promise<CallAnswer<Calls['getSeries']>> {
      const until = to === undefined ? nowS() : Math.floor(Date.parse(to) / 1_000)
      const since = from === undefined ? until - HOUR_S : Math.floor(Date.parse(from) / 1_000)
      const range = seriesRange({ from: since, to: until, points }, nowS())
      const asked = relay.askEach(node => node.call('readSeries', { params: { app: app.name }, query: range }))
      const { answers, silent } = await asked
      const isOwn = ({ at }: { at: number }): boolean => (at + range.stepSeconds) * 1_000 > beganAt(app)
      const series = mergedSeries(
        range,
        answers.map(({ items }) => items.filter(isOwn)),
        nowS(),
      )
      return { ...series, silent }
    },

    async activity(apps: readonly App[]): Promise<CallAnswer<Calls['getActivity']>> {
      const from = activityFrom(nowS())
      const query = { apps: apps.map(({ name }) => name).join(), from }
      const { answers, silent } =
        apps.length === 0
          ? { answers: [], silent: [] }
          : await relay.askEach(node => node.call('readActivity', { query }))
      const awakeMs = new Map<AppName, number[]>()
      for (const { app, hours } of answers.flatMap(({ items }) => items)) {
        const sum = awakeMs.get(app) ?? Array.from({ length: HOURS_OF_ACTIVITY }, () => 0)
        awakeMs.set(
          app,
          sum.map((ms, at) => ms + (hours[at] ?? 0)),
        )
      }
      const hoursOf = (app: App): number[] =>
        Array.from({ length: HOURS_OF_ACTIVITY }, (_, index) => {
          const at = from + index * HOUR_S
          return (at + HOUR_S) * 1_000 > beganAt(app)
            ? shareOf(awakeMs.get(app.name)?.[index] ?? 0, at, HOUR_S, nowS())
            : 0
        })
      return {
        from: new Date(from * 1_000).toISOString(),
        items: apps.map(app => ({ app: app.name, hours: hoursOf(app) })),
        silent,
      }
    },
  }
}
