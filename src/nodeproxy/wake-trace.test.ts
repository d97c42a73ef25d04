import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { newSpanId, newTraceId, sayTraceParent } from '../lib/tracing/trace-parent.ts'
import { type Span, Tracer } from '../lib/tracing/tracer.ts'
import { instanceId } from '../model/instance-id.ts'
import { appName, nodeName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { aHoldRequest } from '../testing/fake-app.ts'
import { InstanceEnvironment } from '../testing/instance-environment.ts'
import { until } from '../testing/wire.ts'
import { WakeTrace } from './wake-trace.ts'

const never = new AbortController().signal

function traced({ samples = true } = {}) {
  const spans: Span[] = []
  const tracer = new Tracer({
    sink: { record: span => void spans.push(span) },
    samples: () => samples,
    followsParent: true,
    clock: new HandClock(),
  })
  const names = (): string[] => spans.map(({ name }) => name)
  const only = (name: string): Span => {
    const [first, ...others] = spans.filter(span => span.name === name)
    assert(first !== undefined && others.length === 0, `${name} of ${names()}`)
    return first
  }
  return { spans, tracer, names, only }
}

const ofFront = (): string => sayTraceParent({ traceId: newTraceId(), spanId: newSpanId() })

function aTrace(tracer: Tracer): WakeTrace {
  return new WakeTrace({ tracer, instance: instanceId(appName('blog')), node: nodeName('n1') })
}

test('an instance that wakes for a traced request: stages are children of the wake, and the request has a link to it', async () => {
  const { tracer, only, spans } = traced({ samples: false })
  const instance = new InstanceEnvironment().anInstance(undefined, { tracer })
  const front = { traceId: newTraceId(), spanId: newSpanId() }
  using _ = await instance.hold(aHoldRequest({ trace: sayTraceParent(front) }), { signal: never })
  const [hold, wake] = [only('hold'), only('wake')]
  assert.deepEqual(hold.parent, { ...front, isRemote: true })
  assert.deepEqual([hold.links, wake.links, wake.parent], [[wake.context], [], undefined])
  const stages = spans.filter(({ parent }) => parent?.spanId === wake.context.spanId)
  const names = ['lease', 'attach', 'fsck', 'mount', 'image', 'create', 'start', 'ready']
  assert.deepEqual(stages.map(({ name }) => name).sort(), names.sort())
  for (const { name, from, to } of stages) assert(wake.from <= from && from <= to && to <= wake.to, name)
  assert.equal(wake.attributes['shadow.outcome'], 'awake')
})

test('a wake that neither the sampler nor a traced request wants is not recorded', async () => {
  const { tracer, names } = traced({ samples: false })
  const instance = new InstanceEnvironment().anInstance(undefined, { tracer })
  using _ = await instance.hold(aHoldRequest(), { signal: never })
  assert.deepEqual(names(), [])
})

test('a wake that the sampler wants is recorded without a request', async () => {
  const { tracer, only } = traced()
  const instance = new InstanceEnvironment().anInstance(undefined, { tracer })
  await instance.wake({ says: 'somebody', cause: 'person' }, never)
  assert.equal(only('wake').attributes['shadow.cause'], 'person')
})

test('a wake that fails: its last stage, the wake and the request say why', async () => {
  const { tracer, only } = traced({ samples: false })
  const environment = new InstanceEnvironment()
  const instance = environment.anInstance(undefined, { tracer })
  const ready = environment.slowReady()
  const holding = Promise.resolve(instance.hold(aHoldRequest({ trace: ofFront() }), { signal: never }))
  holding.catch(() => undefined)
  await until(() => instance.phase === 'waking')
  ready.reject(new ShadowError('app-not-ready', 'it is not ready'))
  await assert.rejects(holding)
  for (const name of ['ready', 'wake', 'hold']) {
    const { error, attributes } = only(name)
    assert.deepEqual([error, attributes['error.type']], ['app-not-ready', 'app-not-ready'], name)
  }
  assert.equal(only('start').error, undefined)
  assert.deepEqual(only('hold').links, [only('wake').context])
})

test('a request that is refused before a wake begins has no link to the wake before it', () => {
  const { tracer, spans } = traced()
  const trace = aTrace(tracer)
  trace.begin({ cause: 'request', revision: 1 })
  trace.end('awake')
  const wait = trace.waits(ofFront())
  wait?.ended(new ShadowError('rate-limited', 'too many wakes'))
  assert.deepEqual([spans.at(-1)?.name, spans.at(-1)?.links], ['hold', []])
})

test('steps outside of a wake, and those of a sleep, are no stages', () => {
  const { tracer, names } = traced()
  const trace = aTrace(tracer)
  trace.step('start', 'before')
  trace.end('awake')
  trace.begin({ cause: 'request', revision: 1 })
  trace.step('unmount', 'before')
  trace.step('unmount', 'after')
  trace.end('rejected', new ShadowError('app-not-ready', 'not ready'))
  assert.deepEqual(names(), ['wake'])
})
