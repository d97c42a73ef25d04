import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, test } from 'vitest'
import { appName, nodeName } from '../../model/names.ts'
import { type EventKind, newestFirst } from '../../model/timeline.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import type { Sample } from './samples.ts'
import { HistoryStore, type NewEvent } from './store.ts'

const [BLOG, SHOP] = [appName('blog'), appName('shop')]
const NOW = Date.parse('2026-11-29T12:00:00Z')
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

let folder: string
let store: HistoryStore
beforeEach(() => {
  folder = `${temporaryFolder('history')}/history`
  store = open()
})
afterEach(() => store[Symbol.dispose]())

const open = (onSpoilt?: () => void) =>
  new HistoryStore({ folder, node: nodeName('n1'), ...(onSpoilt && { onSpoilt }) })
const restart = (): void => {
  store[Symbol.dispose]()
  store = open()
}
const event = (at: number, kind: EventKind = 'wake', app = BLOG): NewEvent => ({ app, at: iso(at), kind })
const iso = (at: number): string => new Date(at).toISOString()
const sample = (at: number, more: Partial<Sample> = {}): Sample => ({
  ...{ app: BLOG, at: at / 1_000, awakeMs: 10_000, requests: 2, errors: 0, latency: { 10: 2 } },
  ...{ cpuMs: 500, memoryBytes: 1_000 },
  ...more,
})
const all = (app = BLOG) => store.events(app, { limit: 10_000 })
const stepsOf = (fromMs: number, toMs: number, stepSeconds: number) =>
  store.series(BLOG, { from: fromMs / 1_000, to: toMs / 1_000, stepSeconds })

test('events come the newest first, of one app, with all that was told of them, over a restart', () => {
  const steps = [{ step: 'start' as const, startMs: 5, ms: 10 }]
  const wake: NewEvent = { ...event(NOW - 5_000), by: 'GET /', outcome: 'ok', ms: 15, steps }
  store.add([wake, event(NOW, 'crash'), event(NOW, 'wake', SHOP)], [])
  restart()
  const [crash, woken, ...rest] = all()
  const { app: _, ...told } = wake
  assert.deepEqual([crash?.kind, rest], ['crash', []])
  assert.deepEqual(woken, { ...told, id: 'n1.0000000001', node: 'n1' })
})

test('pages go on where the last one ended, also between events of one moment, and over kinds', () => {
  const kinds: EventKind[] = ['wake', 'sleep', 'crash']
  store.add(
    Array.from({ length: 25 }, (_, index) => event(NOW + Math.floor(index / 4), kinds[index % 3])),
    [],
  )
  const whole = all()
  assert.deepEqual(whole, whole.toSorted(newestFirst), 'it is the order in which a master merges')
  const paged = []
  for (let page = store.events(BLOG, { limit: 4 }); page.length > 0; ) {
    paged.push(...page)
    page = store.events(BLOG, { limit: 4, before: page.at(-1) })
  }
  assert.deepEqual(paged, whole)
  const some = store.events(BLOG, { limit: 100, kinds: ['sleep', 'crash'] })
  assert.deepEqual(
    some,
    whole.filter(({ kind }) => kind !== 'wake'),
  )
})

test('events are kept for 30 days', () => {
  store.add([event(NOW - 31 * DAY_MS), event(NOW - 29 * DAY_MS), event(NOW)], [])
  store.prune(NOW)
  assert.deepEqual(
    all().map(({ at }) => at),
    [iso(NOW), iso(NOW - 29 * DAY_MS)],
  )
})

test('a flood of one kind pushes out neither other kinds nor other apps, and does not grow', () => {
  store.add([event(NOW, 'deploy'), event(NOW, 'wake', SHOP)], [])
  for (let batch = 0; batch < 30; batch++)
    store.add(
      Array.from({ length: 100 }, (_, index) => event(NOW + batch * 100 + index, 'crash')),
      [],
    )
  const crashes = all().filter(({ kind }) => kind === 'crash')
  assert.ok(crashes.length <= 1_100 && crashes.length >= 1_000, `${crashes.length} crashes`)
  assert.equal(crashes[0]?.at, iso(NOW + 2_999), 'the newest are kept')
  assert.equal(
    all().some(({ kind }) => kind === 'deploy'),
    true,
  )
  assert.equal(all(SHOP).length, 1)
})

test('samples are kept in steps of 10 s for an hour, of a minute for a day, and of an hour for a month', () => {
  for (let ago = 40 * 24; ago > 0; ago -= 12) store.add([], [sample(NOW - ago * HOUR_MS)])
  for (let ago = 3 * HOUR_MS; ago > 0; ago -= 10_000) store.add([], [sample(NOW - ago)])
  store.prune(NOW)
  const tens = stepsOf(NOW - 3 * HOUR_MS, NOW, 10)
  assert.ok(tens.length >= 360 && tens.length <= 400, `${tens.length} steps of 10 s`)
  assert.equal(stepsOf(NOW - 3 * HOUR_MS, NOW, 60).length, 180)
  assert.deepEqual(stepsOf(NOW - 2 * DAY_MS, NOW - 1.2 * DAY_MS, 60), [])
  const hours = stepsOf(NOW - 40 * DAY_MS, NOW, 3_600)
  assert.ok(hours.length > 60 && hours.length < 75, `${hours.length} steps of an hour`)
})

test('a longer step is the sum of its samples, its memory the most of them, over a restart in between', () => {
  for (let second = 0; second < 60; second += 10) {
    if (second === 30) restart()
    store.add([], [sample(NOW + second * 1_000, { memoryBytes: 1_000 + second })])
  }
  const minute = { awakeMs: 60_000, requests: 12, errors: 0, latency: { 10: 12 }, cpuMs: 3_000, memoryBytes: 1_050 }
  assert.deepEqual(stepsOf(NOW, NOW + 60_000, 60), [{ at: NOW / 1_000, ...minute }])
  assert.deepEqual(stepsOf(NOW, NOW + HOUR_MS, 3_600), [{ at: NOW / 1_000, ...minute }])
  const halves = stepsOf(NOW, NOW + 60_000, 30)
  assert.deepEqual(
    halves.map(({ at, requests, memoryBytes }) => [at - NOW / 1_000, requests, memoryBytes]),
    [
      [0, 6, 1_020],
      [30, 6, 1_050],
    ],
  )
})

test('the hours of a week tell for how long the app was awake', () => {
  store.add([], [sample(NOW), sample(NOW + 10_000), sample(NOW - HOUR_MS)])
  const hours = store.activity(BLOG, (NOW - 167 * HOUR_MS) / 1_000)
  assert.deepEqual([hours.length, hours.at(-1), hours.at(-2), hours.at(-3)], [168, 20_000, 10_000, 0])
})

test('what is kept of an app can be removed, and nothing else with it', () => {
  store.add([event(NOW), event(NOW, 'wake', SHOP)], [sample(NOW), sample(NOW, { app: SHOP })])
  store.forget(BLOG)
  assert.deepEqual([all(), stepsOf(NOW, NOW + 60_000, 60)], [[], []])
  assert.equal(all(SHOP).length, 1)
  assert.equal(store.series(SHOP, { from: NOW / 1_000, to: NOW / 1_000 + 60, stepSeconds: 60 }).length, 1)
})

test('a file that is spoilt is put aside, and the history begins anew', () => {
  store.add([event(NOW)], [])
  store[Symbol.dispose]()
  writeFileSync(`${folder}/history.db`, 'this is no database, and long enough to be looked at as one'.repeat(100))
  let isSpoilt = false
  store = open(() => {
    isSpoilt = true
  })
  assert.deepEqual([isSpoilt, all(), existsSync(`${folder}/history.db.spoilt`)], [true, [], true])
  store.add([event(NOW)], [])
  assert.equal(all().length, 1)
})
