import assert from 'node:assert/strict'
import { test } from 'vitest'
import { cronTimes } from './cron.ts'
import { isFailure } from './errors.ts'

/** The times between two days. */
function times(expression: string, zone: string, from: string, to: string): string[] {
  const cron = cronTimes(expression, zone)
  const found: string[] = []
  for (let at = cron.next(Date.parse(from) - 1); at !== undefined && at < Date.parse(to); at = cron.next(at))
    found.push(new Date(at).toISOString())
  return found
}

test('a time is that of the wall clock in its zone, in winter and in summer', () => {
  assert.deepEqual(times('0 3 * * *', 'Europe/Berlin', '2026-12-01T00:00Z', '2026-12-02T00:00Z'), [
    '2026-12-01T02:00:00.000Z',
  ])
  assert.deepEqual(times('0 3 * * *', 'Europe/Berlin', '2026-07-01T00:00Z', '2026-07-02T00:00Z'), [
    '2026-07-01T01:00:00.000Z',
  ])
})

test('a time that the change to summer time skips comes once that day, right after it', () => {
  // At 02:00 the clock goes to 03:00, which is 01:00 UTC: there is no 02:30.
  assert.deepEqual(times('30 2 * * *', 'Europe/Berlin', '2027-03-27T12:00Z', '2027-03-29T12:00Z'), [
    '2027-03-28T01:00:00.000Z',
    '2027-03-29T00:30:00.000Z',
  ])
})

test('a time that the change to winter time brings twice comes once that day', () => {
  // At 03:00 the clock goes back to 02:00: there are two 02:30.
  const found = times('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', '2026-10-26T12:00Z')
  assert.equal(found.length, 2, found.join())
  assert.match(found[0] ?? '', /^2026-10-25T0[01]:30/)
  assert.equal(found[1], '2026-10-26T01:30:00.000Z')
})

test('every hour is every hour, over both changes', () => {
  for (const [from, to] of [
    ['2027-03-28T00:00Z', '2027-03-28T06:00Z'],
    ['2026-10-25T00:00Z', '2026-10-25T06:00Z'],
  ] as const)
    assert.ok(
      times('0 * * * *', 'Europe/Berlin', from, to).length >= 5,
      times('0 * * * *', 'Europe/Berlin', from, to).join(),
    )
})

for (const [expression, zone, says] of [
  ['* * * * * *', 'UTC', /has not the five fields/],
  ['* * *', 'UTC', /has not the five fields/],
  ['61 * * * *', 'UTC', /is no cron expression/],
  ['x * * * *', 'UTC', /is no cron expression/],
  ['0 3 * * *', 'Mars/Base', /is no time zone/],
] as const)
  test(`"${expression}" in ${zone} is refused`, () => {
    assert.throws(
      () => cronTimes(expression, zone),
      error => isFailure(error, 'bad-input') && says.test(error.message),
    )
  })
