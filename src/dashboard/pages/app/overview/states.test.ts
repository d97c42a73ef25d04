import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { AppEvent } from '../../../../model/timeline.ts'
import { statesOf } from './states.ts'

const event = (id: string, kind: AppEvent['kind'], minute: number, more: Partial<AppEvent> = {}): AppEvent => ({
  id,
  kind,
  at: new Date(Date.UTC(2026, 10, 29, 10, minute)).toISOString(),
  ...more,
})
const minutes = (events: readonly AppEvent[]) => [...statesOf(events).lastedMs].map(([id, ms]) => [id, ms / 60_000])

// Newest first.
const EVENTS = [
  event('g', 'sleep', 30),
  event('f', 'snapshot', 25),
  event('e', 'wake', 20, { outcome: 'ok' }),
  event('d', 'wake', 15, { outcome: 'failed' }),
  event('c', 'crash', 10),
  event('b', 'wake', 5, { outcome: 'ok' }),
  event('a', 'deploy', 0),
]

test('the state after each event follows from the wakes, sleeps and crashes before it', () => {
  const { after } = statesOf(EVENTS)
  assert.deepEqual(after, ['asleep', 'awake', 'awake', 'asleep', 'asleep', 'awake', undefined])
})

test('a wake lasts until the sleep or crash that follows, a sleep until the wake', () => {
  assert.deepEqual(minutes(EVENTS), [
    ['b', 5],
    ['c', 5],
    ['e', 10],
  ])
})

test('the crash of an earlier release, while a newer one serves, ends nothing', () => {
  const events = [
    event('d', 'sleep', 30, { revision: 2 }),
    event('c', 'crash', 20, { revision: 1 }),
    event('b', 'wake', 10, { revision: 2 }),
    event('a', 'wake', 0, { revision: 1 }),
  ]
  assert.deepEqual(statesOf(events).after, ['asleep', 'awake', 'awake', 'awake'])
  assert.deepEqual(minutes(events), [
    ['a', 10],
    ['b', 20],
  ])
})
