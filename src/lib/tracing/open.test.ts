import { expect, test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { faultsOfTraces, otlpReceiver } from '../../testing/otlp-receiver.ts'
import { until } from '../../testing/wire.ts'
import { systemClock } from '../clock.ts'
import { noLog } from '../log.ts'
import { readSettings } from '../settings.ts'
import { openTracing } from './open.ts'
import { tracingSettings } from './settings.ts'
import { SpanQueue } from './span-queue.ts'
import { sayTraceParent } from './trace-parent.ts'
import type { Span, Tracer } from './tracer.ts'

const settingsOf = (env: Record<string, string>) => readSettings(tracingSettings, env)
const given = { service: 'shadow-test', clock: systemClock, log: noLog }
const parent = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }

async function traced(env: Record<string, string>) {
  const receiver = await otlpReceiver()
  const settings = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, OTEL_BSP_SCHEDULE_DELAY: '1', ...env }
  const tracing = await openTracing(settingsOf(settings), given)
  const { tracer } = tracing
  if (tracer === undefined) throw new Error('there is an endpoint')
  return { receiver, tracing, tracer }
}

const record = (tracer: Tracer, name: string): void => {
  const span = tracer.root()
  tracer.record({ name, kind: 'internal', ...span, attributes: {} })
}

test('without an endpoint nothing is traced', async () => {
  await using tracing = await openTracing(settingsOf({ OTEL_SERVICE_NAME: 'x' }), given)
  expect([tracing.tracer, tracing.counts()]).toEqual([undefined, { spansSent: 0, spansLost: 0 }])
})

test('spans come whole, with their parents, links, times and errors, and with what the settings say', async () => {
  const { receiver, tracing, tracer } = await traced({
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20a%2Cb, x-tenant=blue',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=test',
  })
  await using _ = receiver
  const first = tracer.begin(undefined)
  const other = tracer.root()
  if (first === undefined) throw new Error('all is sampled')
  const from = first.from
  tracer.record({
    name: 'a',
    kind: 'server',
    ...first,
    attributes: { text: 'b', count: 3, is: true },
    to: from + 2.5,
    links: [other.context],
  })
  tracer.record({
    name: 'stage',
    kind: 'internal',
    ...tracer.child(first.context),
    from: from + 0.25,
    to: from + 1.5,
    attributes: {},
    error: 'app-not-ready',
  })
  tracer.record({ name: 'other', kind: 'internal', ...other, attributes: {} })
  await until(() => receiver.spans.length === 3 || receiver.faults.length > 0)
  expect(receiver.faults).toEqual([])
  expect(faultsOfTraces(receiver.spans)).toEqual([])
  const [a, stage] = receiver.spans
  expect(a).toMatchObject({ name: 'a', kind: 2, ...first.context, attributes: { text: 'b', count: 3, is: true } })
  expect(a?.resource).toMatchObject({ 'service.name': 'shadow-test', 'deployment.environment': 'test' })
  expect([a && a.to - a.from, stage && stage.to - stage.from]).toEqual([2_500_000n, 1_250_000n])
  expect(stage?.status).toEqual({ code: 2, message: 'app-not-ready' })
  expect(receiver.headers).toMatchObject({ authorization: 'Bearer a,b', 'x-tenant': 'blue' })
  await tracing[Symbol.asyncDispose]()
  expect(tracing.counts()).toEqual({ spansSent: 3, spansLost: 0 })
})

test.each([
  ['always_on', {}, [true, true, true]],
  ['always_off', {}, [false, false, false]],
  ['traceidratio', { OTEL_TRACES_SAMPLER_ARG: '0' }, [false, false, false]],
  ['traceidratio', { OTEL_TRACES_SAMPLER_ARG: '1' }, [true, true, true]],
  ['parentbased_always_on', {}, [true, true, false]],
  ['parentbased_always_off', {}, [false, true, false]],
  ['parentbased_traceidratio', { OTEL_TRACES_SAMPLER_ARG: '0' }, [false, true, false]],
])(
  '%s %j: a request without a traceparent, with a sampled one, with one that is not',
  async (sampler, more, wanted) => {
    const { receiver, tracing, tracer } = await traced({ OTEL_TRACES_SAMPLER: sampler, ...more })
    await using _receiver = receiver
    await using _tracing = tracing
    const sampled = sayTraceParent(parent)
    const begun = [undefined, sampled, `${sampled.slice(0, -2)}00`].map(header => tracer.begin(header))
    expect(begun.map(span => span !== undefined)).toEqual(wanted)
    expect(begun[1]?.parent).toEqual(wanted[1] ? { ...parent, isRemote: true } : undefined)
  },
)

test('a part of the traces is recorded', async () => {
  const { receiver, tracing, tracer } = await traced({
    OTEL_TRACES_SAMPLER: 'traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.5',
  })
  await using _receiver = receiver
  await using _tracing = tracing
  const begun = Array.from({ length: 2_000 }, () => tracer.begin(undefined)).filter(span => span !== undefined).length
  expect(begun).toBeGreaterThan(800)
  expect(begun).toBeLessThan(1_200)
})

test('spans that a collector does not take are lost, and counted', async () => {
  const { receiver, tracing, tracer } = await traced({})
  await using _ = receiver
  receiver.mode = 'refuses'
  record(tracer, 'lost')
  await until(() => tracing.counts().spansLost === 1)
  receiver.mode = 'takes'
  record(tracer, 'taken')
  await until(() => tracing.counts().spansSent === 1)
  expect(receiver.spans.map(({ name }) => name)).toEqual(['taken'])
  await tracing[Symbol.asyncDispose]()
})

test('a collector that does not answer holds nobody up: the queue is bounded, and the end does not wait for it', async () => {
  const clock = new HandClock()
  const begun = Promise.withResolvers<void>()
  const batches: number[] = []
  const send = (spans: readonly Span[]): Promise<void> => {
    batches.push(spans.length)
    begun.resolve()
    return new Promise(() => undefined)
  }
  const queue = new SpanQueue({ send, delayMs: 1_000, clock, onLost: () => undefined })
  const span = { name: 'x' } as Span
  queue.record(span)
  await clock.advance(1_000)
  await begun.promise
  for (let at = 0; at < 5_000; at++) queue.record(span)
  expect([batches, queue.lost]).toEqual([[1], 5_000 - 2_048])
  const closed = queue[Symbol.asyncDispose]()
  await clock.advance(2_000)
  await closed
  expect(queue.lost).toBe(5_000)
  queue.record(span)
  expect([queue.lost, queue.sent]).toEqual([5_001, 0])
})

test('wrong settings are named', () => {
  for (const [name, value] of [
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'no-value'],
    ['OTEL_RESOURCE_ATTRIBUTES', 'a=%zz'],
    ['OTEL_TRACES_SAMPLER', 'sometimes'],
    ['OTEL_TRACES_SAMPLER_ARG', '2'],
  ] as const)
    expect(() => settingsOf({ [name]: value }), name).toThrow(name)
})
