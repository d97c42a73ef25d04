import assert from 'node:assert/strict'
import { test } from 'vitest'
import { activityFrom, HOURS_OF_ACTIVITY, seriesRange } from './series.ts'

const NOW = Date.parse('2026-11-29T12:34:56Z') / 1_000
const HOUR = 3_600
const cases = [
  { what: 'the last hour', ago: HOUR, points: 360, stepSeconds: 20 },
  { what: 'the last ten minutes', ago: 600, points: 120, stepSeconds: 10 },
  { what: 'the last hour on a small picture', ago: HOUR, points: 60, stepSeconds: 120 },
  { what: 'the last day', ago: 24 * HOUR, points: 1_000, stepSeconds: 120 },
  { what: 'a quarter of an hour of yesterday', ago: 30 * HOUR, long: 900, points: 1_000, stepSeconds: HOUR },
  { what: 'the last week', ago: 7 * 24 * HOUR, points: 1_000, stepSeconds: HOUR },
  { what: 'the last month', ago: 30 * 24 * HOUR, points: 120, stepSeconds: 7 * HOUR },
]
for (const { what, ago, long = ago, points, stepSeconds } of cases)
  test(`${what} in at most ${points} points: steps of ${stepSeconds} s`, () => {
    const range = seriesRange({ from: NOW - ago, to: NOW - ago + long, points }, NOW)
    assert.equal(range.stepSeconds, stepSeconds)
    assert.equal(range.from % range.stepSeconds, 0)
    assert.ok(range.from <= NOW - ago && range.to >= NOW - ago + long)
    assert.ok((range.to - range.from) / range.stepSeconds <= points)
  })

test('of whatever time, there are never more points than were asked for', () => {
  for (let ago = 61; ago < 40 * 24 * HOUR; ago = Math.ceil(ago * 1.7))
    for (const points of [2, 3, 7, 100]) {
      const { from, to, stepSeconds } = seriesRange({ from: NOW - ago, to: NOW, points }, NOW)
      assert.ok((to - from) / stepSeconds <= points, `${ago} s in ${points} points`)
    }
})

test('a week of activity ends with the hour now', () => {
  const from = activityFrom(NOW)
  assert.equal(new Date(from * 1_000).toISOString(), '2026-11-22T13:00:00.000Z')
  assert.equal(new Date((from + (HOURS_OF_ACTIVITY - 1) * HOUR) * 1_000).toISOString(), '2026-11-29T12:00:00.000Z')
})
