import { expect, test } from 'vitest'
import { noLog } from '../lib/log.ts'
import { type InstanceId, instanceId } from '../model/instance-id.ts'
import { appName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { RefusedConnections } from './refused-connections.ts'

test('an app that tries what it may not reach is told once in its log, and again after its next start', async () => {
  const clock = new HandClock()
  const blog = instanceId(appName('blog'))
  const told: string[] = []
  let counts = new Map<InstanceId, number>()
  const runtime = { refusedConnections: async () => counts }
  using refused = new RefusedConnections({
    runtime,
    journal: (instance, line) => told.push(`${instance}: ${line}`),
    clock,
    log: noLog,
  })
  refused.start()
  await clock.advance(5_000)
  expect(refused.of(blog)).toBeUndefined()
  counts = new Map([[blog, 1]])
  await clock.advance(5_000)
  const first = refused.of(blog)
  expect(first?.count).toBe(1)
  counts = new Map([[blog, 3]])
  await clock.advance(5_000)
  expect(refused.of(blog)?.count).toBe(3)
  expect(refused.of(blog)?.at).not.toBe(first?.at)
  expect(told).toHaveLength(1)
  counts = new Map()
  await clock.advance(5_000)
  expect(refused.of(blog)).toBeUndefined()
  counts = new Map([[blog, 1]])
  await clock.advance(5_000)
  expect(told).toHaveLength(2)
})
