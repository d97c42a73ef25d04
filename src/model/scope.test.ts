import assert from 'node:assert/strict'
import { test } from 'vitest'
import { appPattern, isInScope, isWithin, ownerOf } from './scope.ts'

const scope = (...patterns: string[]) => patterns.map(appPattern)

for (const [patterns, app, isIn] of [
  [['ann-*'], 'ann-blog', true],
  [['ann-*'], 'ann-', true],
  [['ann-*'], 'ann', false],
  [['ann-*'], 'annblog', false],
  [['ann'], 'ann-blog', false],
  [['shop', 'ann-*'], 'shop', true],
  [[], 'shop', false],
] as const)
  test(`${app} is ${isIn ? '' : 'not '}in the scope ${patterns.join(',') || 'of nothing'}`, () =>
    assert.equal(isInScope(scope(...patterns), app), isIn))

for (const [inner, outer, isIt] of [
  [['ann-shop-*'], ['ann-*'], true],
  [['ann-*'], ['ann-*'], true],
  [['ann-*'], ['ann-shop-*'], false],
  [['an*'], ['ann-*'], false],
  [['ann-x', 'shop'], ['ann-*', 'shop'], true],
  [['shop*'], ['shop'], false],
] as const)
  test(`${inner} is ${isIt ? '' : 'not '}within ${outer}`, () =>
    assert.equal(isWithin(scope(...inner), scope(...outer)), isIt))

for (const [text, why] of [
  ['*', /all apps/],
  ['', /empty/],
  ['-*', /begins/],
  ['a*b', /"\*" at position 1/],
  ['Ann-*', /"A"/],
] as const)
  test(`"${text}" is no pattern`, () => assert.throws(() => appPattern(text), why))

test('an app is of the owner with the closest pattern', () => {
  const owners = [
    { name: 'zed', apps: scope('ann-shop-*') },
    { name: 'ann', apps: scope('ann-*', 'both') },
    { name: 'bob', apps: scope('ann-blog', 'both') },
  ]
  const of = ['ann-x', 'ann-shop-1', 'ann-blog', 'both', 'other'].map(app => ownerOf(app, owners))
  assert.deepEqual(of, ['ann', 'zed', 'bob', 'ann', undefined])
})
