import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { AppEvent } from '../../../../model/timeline.ts'
import { addOlder, daysOf, mergeNewest } from './timeline-days.ts'

const local = (day: number, hour: number): number => new Date(2026, 10, day, hour).getTime()
const event = (id: string, at = local(29, 10)): AppEvent => ({ id, at: new Date(at).toISOString(), kind: 'wake' })
const page = (ids: string, next: string | null = null) => ({ items: [...ids].map(id => event(id)), next })
const ids = ({ items, next }: { items: readonly AppEvent[]; next: string | null }) => [
  items.map(({ id }) => id).join(''),
  next,
]

test('events are under the days of the own time zone', () => {
  const events = [
    event('a', local(29, 9)),
    event('b', local(29, 0)),
    event('c', local(28, 23)),
    event('d', local(27, 12)),
  ]
  const days = daysOf(events, local(29, 10))
  assert.deepEqual(
    days.map(({ label, events }) => [label, events.map(({ id }) => id).join('')]),
    [
      ['Today', 'ab'],
      ['Yesterday', 'c'],
      ['Fri, Nov 27, 2026', 'd'],
    ],
  )
})

test('the newest page, read again, comes before what was read; what is older stays', () => {
  assert.deepEqual(ids(mergeNewest(page('cba', 'x'), page('edc', 'y'))), ['edcba', 'x'])
  assert.deepEqual(ids(mergeNewest(page('cba', null), page('cb', 'y'))), ['cba', null])
  assert.deepEqual(ids(mergeNewest(page('cba', null), page('dcba', 'y'))), ['dcba', 'y'])
})

test('an event that is gone from the newest page is not kept among the newer ones', () => {
  assert.deepEqual(ids(mergeNewest(page('dcba', 'x'), page('dba', 'y'))), ['dba', 'y'])
})

test('a page with nothing in common takes the place of all', () => {
  assert.deepEqual(ids(mergeNewest(page('cba', 'x'), page('zyx', 'w'))), ['zyx', 'w'])
})

test('an older page comes behind, without an event twice', () => {
  assert.deepEqual(ids(addOlder(page('dc', 'x'), page('cba', null))), ['dcba', null])
})
