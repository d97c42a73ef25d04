import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import type { Exchange } from '../lib/http/exchange.ts'
import { type Span, Tracer } from '../lib/tracing/tracer.ts'
import { appName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { RequestTrace } from './request-trace.ts'

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0'

function aRequest(traceparent?: string) {
  const spans: Span[] = []
  const tracer = new Tracer({
    sink: { record: span => void spans.push(span) },
    samples: () => true,
    followsParent: true,
    clock: new HandClock(),
  })
  const exchange = { method: 'GET', header: (name: string) => (name === 'traceparent' ? traceparent : undefined) }
  const trace = RequestTrace.of(tracer, exchange as Exchange, appName('blog'))
  return { spans, trace }
}

const answer = (...timing: string[]) => ({
  status: 200,
  fields: timing.map((value): [string, string] => ['server-timing', value]),
})

test('without a tracer, and for a request that says so, there is no trace', () => {
  assert.equal(RequestTrace.of(undefined, {} as Exchange, appName('blog')), undefined)
  assert.equal(aRequest(`${PARENT}0`).trace, undefined)
})

test('a request that waited is recorded once, and is known to its node and app by its span', () => {
  const { trace, spans } = aRequest()
  trace?.waited()
  trace?.failed(new ShadowError('app-unreachable', 'too late to count'))
  assert.equal(spans.length, 1)
  assert.equal(trace?.header, `00-${spans[0]?.context.traceId}-${spans[0]?.context.spanId}-01`)
  assert.deepEqual([trace?.isFirst, aRequest(`${PARENT}1`).trace?.isFirst], [true, false])
})

test('the answer of a node tells whether the request waited there', () => {
  const { trace, spans } = aRequest(`${PARENT}1`)
  const copy = trace?.watch(undefined)
  assert.equal(copy?.wants(answer()), false)
  assert.equal(copy?.wants(answer('db;dur=53')), false)
  assert.equal(spans.length, 0)
  assert.equal(copy?.wants(answer('start;dur=12, wake;dur=80')), false)
  assert.equal(spans[0]?.parent?.spanId, '00f067aa0ba902b7')
})

test('whoever else wants a copy of the answer gets it', () => {
  const taken: unknown[] = []
  const copy = aRequest().trace?.watch({ mostBytes: 9, wants: () => true, taken: one => void taken.push(one) })
  assert.deepEqual([copy?.mostBytes, copy?.wants(answer())], [9, true])
  const whole = { ...answer(), body: Buffer.from('x') }
  copy?.taken(whole)
  assert.deepEqual(taken, [whole])
})
