import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { Metrics } from '../lib/metrics/metrics.ts'
import type { Held, HoldRequest } from '../model/instance.ts'
import { aHoldRequest } from '../testing/fake-app.ts'
import { InstanceEnvironment } from '../testing/instance-environment.ts'
import { until } from '../testing/wire.ts'
import type { Instance } from './instance.ts'
import { instanceMetrics } from './instance-metrics.ts'

const never = new AbortController().signal

/** An instance with the metrics of its node. */
function shown(asked: () => void = () => undefined) {
  const environment = new InstanceEnvironment()
  const metrics = new Metrics()
  const all: Instance[] = []
  const counters = instanceMetrics(metrics, {
    instances: () => all,
    askWorkers: async () => asked(),
    waitingBytes: () => 77,
  })
  const instance = environment.anInstance(undefined, { counters })
  all.push(instance)
  const has = async (...lines: string[]): Promise<void> => {
    const { body } = await metrics.text()
    for (const line of lines) assert(body.includes(`\n${line}\n`), `${line} is not in\n${body}`)
  }
  const hold = async (request: Partial<HoldRequest> = {}): Promise<Held> =>
    instance.hold(aHoldRequest(request), { signal: never })
  return { environment, instance, has, hold }
}

test('a wake, a hold and a sleep are shown', async () => {
  const { environment, instance, has, hold } = shown()
  await has('shadow_instances{phase="asleep"} 1', 'shadow_instances{phase="awake"} 0', 'shadow_holds 0')
  const held = await hold()
  await has(
    'shadow_instances{phase="asleep"} 0',
    'shadow_instances{phase="awake"} 1',
    'shadow_holds 1',
    'shadow_wakes_total{cause="request",outcome="awake"} 1',
    'shadow_wakes_total{cause="request",outcome="failed"} 0',
    'shadow_wake_duration_seconds_count{tier="asleep"} 1',
    'shadow_wake_stage_duration_seconds_count{stage="start",tier="asleep"} 1',
    'shadow_wake_stage_duration_seconds_count{stage="companions",tier="asleep"} 0',
  )
  held[Symbol.dispose]()
  await environment.clock.advance(2_000)
  await has('shadow_awake_seconds_total 2')
  await instance.sleep('asked')
  await has('shadow_holds 0', 'shadow_stops_total{why="asked"} 1', 'shadow_stops_total{why="idle"} 0')
  await environment.clock.advance(60_000)
  await has('shadow_awake_seconds_total 2')
  await instance.wake({ says: 'somebody', cause: 'person' }, never)
  await has('shadow_wakes_total{cause="person",outcome="awake"} 1')
  await environment.clock.advance(500)
  await has('shadow_awake_seconds_total 2.5')
})

test('who waits for a wake is shown, and a wake that fails', async () => {
  const { environment, instance, has, hold } = shown()
  const ready = environment.slowReady()
  const holding = hold()
  await until(() => instance.phase === 'waking')
  await has('shadow_instances{phase="waking"} 1', 'shadow_requests_waiting 1', 'shadow_requests_waiting_bytes 77')
  ready.reject(new ShadowError('app-not-ready', 'it is not ready'))
  await assert.rejects(holding)
  await has(
    'shadow_wakes_total{cause="request",outcome="failed"} 1',
    'shadow_wakes_total{cause="request",outcome="awake"} 0',
    'shadow_wake_failures_total{code="app-not-ready"} 1',
    'shadow_requests_waiting 0',
  )
})

test('what workers hold is asked of them at each scrape', async () => {
  const holds: { kind: 'request'; what: string; since: string }[] = []
  const { has, hold } = shown(() => void holds.push({ kind: 'request', what: 'GET /', since: '' }))
  using _held = await hold({
    grant: { revoke: () => undefined, goAway: () => undefined, lastUsedAt: undefined, holds },
  })
  await has('shadow_holds 1')
  await has('shadow_holds 2')
})
