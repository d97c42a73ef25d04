import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import type { InstanceId } from './instance-id.ts'
import type { AppName } from './names.ts'
import type { Duration } from './quantities.ts'
import { concurrencyOf, faultsOfScale, idleAfterOf, numbered, type Scale, sayScale, spreadOf } from './scale.ts'

const scale = (changes: Partial<Scale> = {}): Scale => ({ min: 0, max: 4, ...changes })

describe('faults of the rules', () => {
  const cases: readonly (readonly [string, Partial<Scale>, boolean, readonly string[]])[] = [
    ['of an app without a volume', {}, false, []],
    ['min above max', { min: 5 }, false, ['min']],
    ['soft above hard', { concurrency: { soft: 3, hard: 2 } }, false, ['concurrency']],
    ['all of an app with a volume', { min: 2, concurrency: { soft: 1, hard: 2 } }, true, ['max', 'min', 'concurrency']],
    ['one instance that is kept awake, with a volume', { min: 1, max: 1 }, true, []],
  ]
  for (const [name, changes, hasVolume, fields] of cases)
    test(name, () => {
      assert.deepEqual(
        faultsOfScale(scale(changes), hasVolume).map(({ field }) => field),
        fields,
      )
    })
})

describe('how long an instance is idle before it sleeps', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['blog', '5m', '5m'],
    ['blog', 'never', 'never'],
    ['blog.2', '5m', '1m'],
    ['blog.2', '10s', '10s'],
    ['blog.17', 'never', '1m'],
    ['blog.next', 'never', 'never'],
  ]
  for (const [instance, idleAfter, wanted] of cases)
    test(`${instance}, whose app says ${idleAfter}: ${wanted}`, () => {
      assert.equal(idleAfterOf(instance as InstanceId, idleAfter as Duration | 'never'), wanted)
    })
})

test('instances are numbered, and the first one is the plain one', () => {
  assert.deepEqual(
    [1, 2, 10].map(number => numbered('blog' as AppName, number)),
    ['blog', 'blog.2', 'blog.10'],
  )
})

test('an app with a volume, or without rules, is not spread', () => {
  assert.equal(spreadOf({ scale: scale(), hasVolume: true }), undefined)
  assert.equal(spreadOf({ hasVolume: false }), undefined)
  assert.ok(spreadOf({ scale: scale(), hasVolume: false }))
})

test('an app with one instance has no limits but those that it names', () => {
  assert.equal(concurrencyOf(scale({ max: 1 })).hard, Number.POSITIVE_INFINITY)
  assert.equal(concurrencyOf(scale()).hard, 100)
  assert.equal(concurrencyOf(scale({ max: 1, concurrency: { soft: 1, hard: 2 } })).hard, 2)
})

test('the rules in words', () => {
  assert.equal(sayScale(undefined), '0 to 1 instance')
  assert.equal(sayScale({ min: 1, max: 1 }), '1 instance')
  assert.equal(
    sayScale(scale({ concurrency: { soft: 10, hard: 20 }, cpu: 50 })),
    '0 to 4 instances; another one above 10 requests in flight or 50 % CPU each, never more than 20 requests each',
  )
})
