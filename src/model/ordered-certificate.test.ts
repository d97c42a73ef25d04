import assert from 'node:assert/strict'
import { test } from 'vitest'
import { certificateName, dueAt, retryAfter } from './ordered-certificate.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

test('a certificate is due when a third of its lifetime is left, one that was never there at once', () => {
  assert.equal(dueAt({ wantedAt: 7 }), 7)
  assert.equal(dueAt({ wantedAt: 7, validity: { from: 0, until: 90 * DAY } }), 60 * DAY)
  assert.equal(dueAt({ wantedAt: 7, validity: { from: 0, until: 90 * DAY }, nextAt: 61 * DAY }), 61 * DAY)
})

test('failures are tried again more and more rarely, each at a time of its own', () => {
  const minutes = (failures: number, random: number): number => retryAfter(failures, random) / MINUTE
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7, 60].map(failures => minutes(failures, 0.5)),
    [2, 6, 18, 54, 162, 486, 720, 720],
  )
  assert.deepEqual([minutes(1, 0), minutes(1, 1)], [1.5, 2.5])
})

test('the nearer the end of a certificate, the more often its renewal is tried', () => {
  assert.equal(retryAfter(60, 0.5, 30 * DAY), 12 * HOUR)
  assert.equal(retryAfter(60, 0.5, 1 * DAY), 2 * HOUR)
  assert.equal(retryAfter(60, 0.5, 1 * HOUR), 5 * MINUTE)
  for (const left of [MINUTE, 0, -DAY]) assert.equal(retryAfter(60, 0.5, left), 2 * MINUTE)
})

const BY_DNS = ['*.apps.example', 'bare.example']
for (const [hostname, wanted] of [
  ['blog.example', 'blog.example'],
  ['shop.apps.example', '*.apps.example'],
  ['a.shop.apps.example', 'a.shop.apps.example'],
  ['apps.example', 'apps.example'],
  ['bare.example', 'bare.example'],
  ['blog.localhost', undefined],
  ['intranet', undefined],
  ['10.0.0.1', undefined],
] as const)
  test(`the certificate for ${hostname} is ${wanted}`, () => assert.equal(certificateName(hostname, BY_DNS), wanted))
