import { expect, test } from 'vitest'
import { noLog } from '../lib/log.ts'
import type { RefusedName } from '../model/instance.ts'
import { type InstanceId, instanceId } from '../model/instance-id.ts'
import { appName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { RefusedConnections } from './refused-connections.ts'

test('an app that tries what it may not reach is told once in its log, and again after its next start', async () => {
  const clock = new HandClock()
  const blog = instanceId(appName('blog'))
  const told: string[] = []
  let counts = new Map<InstanceId, number>()
  const runtime = { refusedConnections: async () => counts, refusedNames: () => new Map() }
  using refused = new RefusedConnections({
    runtime,
    journal: (instance, line) => told.push(`${instance}: ${line}`),
    clock,
    log: noLog,
  })
  refused.start()
  await clock.advance(5_000)
  expect(refused.viewOf(blog)).toEqual({})
  counts = new Map([[blog, 1]])
  await clock.advance(5_000)
  const first = refused.viewOf(blog).refusedConnections
  expect(first?.count).toBe(1)
  counts = new Map([[blog, 3]])
  await clock.advance(5_000)
  expect(refused.viewOf(blog).refusedConnections?.count).toBe(3)
  expect(refused.viewOf(blog).refusedConnections?.at).not.toBe(first?.at)
  expect(told).toHaveLength(1)
  counts = new Map()
  await clock.advance(5_000)
  expect(refused.viewOf(blog)).toEqual({})
  counts = new Map([[blog, 1]])
  await clock.advance(5_000)
  expect(told).toHaveLength(2)
})

test('each host that is refused because of its name is told once in the log, and shown with its count', async () => {
  const clock = new HandClock()
  const blog = instanceId(appName('blog'))
  const told: string[] = []
  const evil = { to: 'evil.example:443', why: 'its egress does not name it', at: '2026-11-30T08:00:00Z', count: 1 }
  let names: readonly RefusedName[] = [evil]
  const runtime = { refusedConnections: async () => new Map(), refusedNames: () => new Map([[blog, names]]) }
  using refused = new RefusedConnections({ runtime, journal: (_, line) => told.push(line), clock, log: noLog })
  await refused.read()
  names = [
    { ...evil, count: 2 },
    { ...evil, to: 'other.example' },
  ]
  await refused.read()
  expect(told).toEqual([
    'evil.example:443 was refused to this app: its egress does not name it',
    'other.example was refused to this app: its egress does not name it',
  ])
  expect(refused.viewOf(blog)).toEqual({ refusedNames: names })
})
