import assert from 'node:assert/strict'
import { test } from 'vitest'
import { STOP_REASONS } from '../../../../model/instance.ts'
import { type AppEvent, EVENT_KINDS } from '../../../../model/timeline.ts'
import { detailOf, sayIdle, wordsOf } from './event-words.ts'

const NOW = { revision: 3, idleAfter: '5m' }
const event = (fields: Partial<AppEvent>): AppEvent => ({
  id: 'one',
  at: '2026-11-29T10:00:00.000Z',
  kind: 'wake',
  ...fields,
})
const said = (fields: Partial<AppEvent>, app = NOW): string => wordsOf(event(fields), app).text

test('a wake says what woke it, and a failed one why it failed', () => {
  assert.equal(said({ by: 'GET / from 10.0.0.7', outcome: 'ok' }), 'Woken by GET / from 10.0.0.7')
  assert.equal(said({ by: 'release 2, in place of release 1' }), 'Started release 2, in place of release 1')
  const failed = { by: 'GET / from 10.0.0.7', outcome: 'failed', code: 'app-not-ready' } as const
  assert.equal(said(failed), 'Wake failed: app-not-ready, asked for by GET / from 10.0.0.7')
  assert.equal(wordsOf(event(failed), NOW).tone, 'bad')
})

test('a sleep says its cause; the idle time is told for the release that still has it only', () => {
  assert.equal(said({ kind: 'sleep', by: 'idle', revision: 3 }), 'Slept: nobody used it for 5 min')
  assert.equal(said({ kind: 'sleep', by: 'idle', revision: 2 }), 'Slept: nobody used it')
  assert.equal(said({ kind: 'sleep', by: 'idle' }, { revision: 3, idleAfter: 'never' }), 'Slept: nobody used it')
  for (const by of STOP_REASONS) assert.notEqual(said({ kind: 'sleep', by }), `Slept: ${by}`, `${by} has no words`)
  assert.equal(said({ kind: 'sleep', by: 'something new' }), 'Slept: something new')
})

test('a crash says how it ended, and keeps its last lines for the detail', () => {
  const crash = event({ kind: 'crash', detail: 'exit code 137, out of memory; its last lines:\nallocating\n' })
  assert.equal(wordsOf(crash, NOW).text, 'Crashed: exit code 137, out of memory')
  assert.equal(detailOf(crash), 'exit code 137, out of memory; its last lines:\nallocating')
})

test('releases say who made them, and what was said of them', () => {
  assert.equal(
    said({ kind: 'deploy', revision: 4, by: 'ann', detail: 'fix the form' }),
    'Deployed by ann: fix the form',
  )
  assert.equal(said({ kind: 'rollback', revision: 5, outcome: 'failed' }), 'Rollback was not taken')
  assert.equal(detailOf(event({ kind: 'deploy', detail: 'fix the form' })), undefined)
  assert.equal(detailOf(event({ kind: 'sleep', by: 'asked', detail: '2 uses were cut' })), '2 uses were cut')
})

test('every kind has words, whatever the event lacks', () => {
  for (const kind of EVENT_KINDS) assert.ok(said({ kind }).length > 4, kind)
})

test('durations of definitions are said with their units', () => {
  assert.equal(sayIdle('1h30m'), '1 h 30 min')
  assert.equal(sayIdle('0.5s'), '0.5 s')
  assert.equal(sayIdle('never'), 'never')
})
