import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { FormerView, InstanceView } from '../model/instance.ts'
import { explainReleases } from './explain-releases.ts'

const NOW = Date.parse('2026-11-21T12:00:00Z')
const at = '2026-11-21T11:59:00Z'
const container = { id: 'c', address: '10.0.0.2:8000' }

const explained = (change: Partial<InstanceView>): readonly string[] =>
  explainReleases({ phase: 'awake', revision: 12, ...change } as InstanceView, NOW)
const former = (change: Partial<FormerView>): FormerView => ({
  revision: 11,
  since: at,
  container,
  holds: 2,
  ...change,
})

test('nothing is said of an app with one release', () => {
  assert.deepEqual(explained({}), [])
  assert.deepEqual(explained({ rollout: { revision: 12, stages: [{ stage: 'switched', at }] } }), [])
})

test('an earlier release that drains: its uses, and for how long at most', () => {
  assert.deepEqual(explained({ formers: [former({ until: '2026-11-21T12:00:12Z' })] }), [
    'Release 12 serves new requests.',
    'Release 11 lets its last 2 uses end, for 12s at most (--drain).',
  ])
})

test('an earlier release that keeps its sessions: its uses, or when it ends', () => {
  const formers = [former({ holds: 1 }), former({ revision: 10, holds: 0, endsAt: '2026-11-21T12:05:00Z' })]
  assert.deepEqual(explained({ formers }).slice(1), [
    'Release 11 keeps the sessions that began with it (--sessions stay), 1 use of it under way.',
    'Release 10 keeps the sessions that began with it (--sessions stay), and ends in 5m if nobody uses it.',
  ])
})

test('a newer release on its way: how far it is, and why it waits', () => {
  const stages = [{ stage: 'waiting', at, why: 'other instances of the app come first' }] as const
  assert.deepEqual(
    explained({ rollout: { revision: 13, stages } }).at(-1),
    `Release 13 is on its way: waiting since ${at} (other instances of the app come first).`,
  )
})
