import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { NodeClient } from '../../api/client.ts'
import type { App } from '../../model/app.ts'
import { nodeName } from '../../model/names.ts'
import { type AppEvent, parseCursor } from '../../model/timeline.ts'
import { HandClock } from '../../testing/clock.ts'
import { anApp } from '../../testing/fake-app.ts'
import { appTimelines } from './timelines.ts'

const NOW = Date.parse('2026-11-29T12:30:00Z')
const CREATED_AT = NOW - 3_600_000
const iso = (at: number): string => new Date(at).toISOString()
const app: App = { ...anApp(), createdAt: iso(CREATED_AT) }
const event = (id: string, at: number, kind: AppEvent['kind'] = 'wake'): AppEvent => ({ id, at: iso(at), kind })

type Answers = Readonly<Record<string, (input: { query?: object }) => unknown>>

/** Timelines over nodes that give these answers; `own`: events that masters have recorded. */
function timelines(
  nodes: readonly Answers[],
  own: readonly AppEvent[] = [],
  silent: readonly string[] = [],
  backups: object = { items: [], failure: null },
) {
  return appTimelines({
    clock: new HandClock(NOW),
    history: { list: async () => [] },
    snapshots: { all: async () => [] },
    backups: { list: async () => backups as never },
    own: { list: async () => own },
    relay: {
      askEach: async ask => ({
        answers: await Promise.all(
          nodes.map(node =>
            ask({ call: async (name: string, input: object) => node[name]?.(input) } as never as NodeClient),
          ),
        ),
        silent: silent.map(nodeName),
      }),
    },
  })
}
const listEvents = (...items: AppEvent[]): Answers => ({
  listEvents: ({ query = {} }) => {
    const { limit, before, kind } = query as { limit: number; before?: string; kind?: string }
    const cursor = before === undefined ? undefined : parseCursor(before)
    return {
      items: items
        .filter(one => kind === undefined || kind.split(',').includes(one.kind))
        .filter(one => cursor === undefined || one.at < cursor.at || (one.at === cursor.at && one.id < cursor.id))
        .slice(0, limit),
    }
  },
})
const page = { before: undefined, limit: 50, kind: undefined }

test('the events of nodes and of masters are one timeline, whose pages have each of them once', async () => {
  const of = (name: string, ...ats: number[]) => ats.map((at, index) => event(`${name}.${9 - index}`, NOW - at))
  const [one, two, own] = [of('n1', 1, 5, 9, 20, 20), of('n2', 2, 5, 5, 40), of('master', 3, 5, 60)]
  const all = timelines([listEvents(...one), listEvents(...two)], own)
  const whole = await all.page(app, page)
  assert.deepEqual([whole.items.length, whole.next], [12, null])
  assert.deepEqual(
    whole.items.map(({ at }) => at),
    whole.items
      .map(({ at }) => at)
      .toSorted()
      .reverse(),
  )
  const paged = []
  let before: ReturnType<typeof parseCursor>
  for (let pages = 0; ; pages++) {
    const { items, next } = await all.page(app, { ...page, limit: 5, before })
    paged.push(...items)
    if (next === null) {
      assert.equal(pages, 2)
      break
    }
    before = parseCursor(next)
  }
  assert.deepEqual(paged, whole.items)
})

test('kinds are chosen of nodes and of masters', async () => {
  const all = timelines([listEvents(event('n1.2', NOW, 'crash'), event('n1.1', NOW - 1))], [event('m', NOW, 'move')])
  const { items } = await all.page(app, { ...page, kind: ['crash', 'move'] })
  assert.deepEqual(
    items.map(({ kind }) => kind),
    ['crash', 'move'],
  )
})

test('backups are told of with their reasons, and a last run that failed with its problem', async () => {
  const made = { id: 'a'.repeat(64), at: iso(NOW - 9), why: 'scheduled', node: 'n1', ms: 70, addedBytes: 5_000 }
  const failure = { kind: 'backup', at: iso(NOW), problem: { code: 'no-space', detail: 'the disk is full' } }
  const { items } = await timelines([], [], [], { items: [made], failure }).page(app, page)
  assert.deepEqual(
    items.map(({ kind, by, outcome, code, detail }) => [kind, by, outcome, code, detail]),
    [
      ['backup', undefined, 'failed', 'no-space', 'the disk is full'],
      ['backup', 'the schedule of the app', 'ok', undefined, 'aaaaaaaa, 5 kB added'],
    ],
  )
})

test('a node that does not answer is told of, and the others are read', async () => {
  const all = timelines([listEvents(event('n1.1', NOW))], [], ['n2'])
  const { items, silent } = await all.page(app, page)
  assert.deepEqual([items.length, silent], [1, ['n2']])
})

test('what a node still has of a removed app of the same name is not shown', async () => {
  const before = CREATED_AT - 180_000
  const readSeries = () => ({ items: [step(before / 1_000 - ((before / 1_000) % 60))] })
  const all = timelines([{ ...listEvents(event('n1.2', NOW), event('n1.1', before)), readSeries }])
  assert.deepEqual((await all.page(app, page)).items.length, 1)
  const from = iso(CREATED_AT - 600_000)
  const { requests } = await all.series(app, { from, to: undefined, points: 1_000 })
  assert.deepEqual(requests.filter(Boolean), [])
})

const step = (at: number, more: object = {}) => ({
  ...{ at, awakeMs: 10_000, requests: 3, errors: 1, latency: { 10: 2 }, cpuMs: 5_000, memoryBytes: 1_000, ...more },
})

test('a series adds up what several nodes measured, and has null where nothing was', async () => {
  const at = NOW / 1_000 - 60
  const all = timelines([
    { readSeries: () => ({ items: [step(at), step(at + 10, { latency: {}, memoryBytes: 0 })] }) },
    { readSeries: () => ({ items: [step(at, { requests: 4, latency: { 40: 50 } })] }) },
  ])
  const series = await all.series(app, { from: iso(NOW - 60_000), to: undefined, points: 10 })
  assert.deepEqual([series.stepSeconds, series.times.length, series.times[0]], [10, 6, at])
  assert.deepEqual(series.requests, [7, 3, null, null, null, null])
  assert.deepEqual(series.errors, [2, 1, null, null, null, null])
  assert.deepEqual(series.memoryBytes, [2_000, null, null, null, null, null])
  assert.deepEqual(series.cpuPercent, [100, 50, null, null, null, null])
  assert.deepEqual(series.awake, [1, 1, 0, 0, 0, 0])
  assert.ok((series.p50Ms[0] ?? 0) > 200, 'most answers were those of the slow node')
  assert.equal(series.p50Ms[1], null)
})

test('each hour of a week has its share, the hour now that of what has passed of it', async () => {
  const hours = Array.from({ length: 168 }, () => 0)
  hours[167] = 15 * 60_000
  hours[166] = 1_800_000
  const all = timelines([
    { readActivity: () => ({ items: [{ app: app.name, hours }] }) },
    { readActivity: () => ({ items: [{ app: app.name, hours }] }) },
    { readActivity: () => ({ items: [] }) },
  ])
  const { from, items } = await all.activity([app])
  assert.equal(from, '2026-11-22T13:00:00.000Z')
  assert.deepEqual([items[0]?.hours.at(-1), items[0]?.hours.at(-2), items[0]?.hours.at(-3)], [1, 1, 0])
  assert.deepEqual(await all.activity([]), { from, items: [], silent: [] })
})
