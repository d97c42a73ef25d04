import assert from 'node:assert/strict'
import { test } from 'vitest'
import {
  countError,
  countLatency,
  countRequest,
  quantileMs,
  RequestReader,
  requestCounts,
  requestsIn,
  sumOfLatencies,
} from './request-counts.ts'

test('a reader is told what was counted since it last read, and nothing of before', () => {
  const counts = requestCounts()
  countRequest(counts)
  const reader = new RequestReader(counts)
  countRequest(counts)
  countRequest(counts)
  countError(counts)
  countLatency(counts, 10)
  assert.deepEqual([reader.read(), requestsIn(counts)], [{ requests: 2, errors: 1, latency: { 22: 1 } }, 3])
  assert.deepEqual(reader.read(), { requests: 0, errors: 0, latency: {} })
})

test('a count that overflows is read on', () => {
  const counts = requestCounts()
  counts.fill(0x7f_ff_ff_ff, 0, 1)
  const reader = new RequestReader(counts)
  for (let sent = 0; sent < 3; sent++) countRequest(counts)
  assert.equal(reader.read().requests, 3)
})

for (const ms of [0.3, 1, 7, 42, 250, 3_000, 30_000])
  test(`a quantile of answers after ${ms} ms is right to a fifth`, () => {
    const counts = requestCounts()
    const reader = new RequestReader(counts)
    for (let sent = 0; sent < 100; sent++) countLatency(counts, ms)
    const { latency } = reader.read()
    for (const share of [0.5, 0.95]) {
      const told = quantileMs(latency, share) ?? 0
      assert.ok(told > ms * 0.8 && told < ms * 1.2, `${told} ms`)
    }
  })

test('the half and the slow end of answers are told apart, over several nodes', () => {
  const counts = requestCounts()
  const reader = new RequestReader(counts)
  for (let sent = 0; sent < 90; sent++) countLatency(counts, 10)
  const fast = reader.read().latency
  for (let sent = 0; sent < 10; sent++) countLatency(counts, 1_000)
  const all = sumOfLatencies([fast, reader.read().latency])
  const [half, slow] = [quantileMs(all, 0.5) ?? 0, quantileMs(all, 0.95) ?? 0]
  assert.ok(half < 13 && slow > 800, `${half} ms, ${slow} ms`)
})

test('without an answer there is no quantile, and an answer that took no time or days has its place', () => {
  assert.equal(quantileMs({}, 0.5), null)
  const counts = requestCounts()
  const reader = new RequestReader(counts)
  countLatency(counts, 0)
  countLatency(counts, 86_400_000)
  assert.deepEqual(reader.read().latency, { 0: 1, 71: 1 })
})
