import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { faultOfLabels, labels, withZone } from './labels.ts'

test('labels are read from pairs by commas', () => {
  assert.deepEqual(labels('zone=eu-1, disk=SSD,example.com/rack=7'), {
    zone: 'eu-1',
    disk: 'SSD',
    'example.com/rack': '7',
  })
})

for (const [text, said] of [
  ['zone', /"zone" is not a label such as zone=eu-1/],
  ['zone=a=b', /"zone=a=b" is not a label/],
  ['Zone=a', /"Zone" is not the name of a label/],
  ['zone=', /"" is not a value for the label zone/],
  ['zone=a b', /"a b" is not a value/],
  ['zone=a,zone=b', /zone is given twice/],
  ['__proto__=a', /"__proto__" is not the name/],
] as const)
  test(`"${text}" is refused, and the error says what is wrong`, () => {
    assert.throws(
      () => labels(text),
      error => isFailure(error, 'bad-input') && said.test(error.message),
    )
  })

test('a node has 32 labels at most', () => {
  const many = Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`label-${n}`, 'x']))
  assert.match(faultOfLabels(many) ?? '', /33 labels; 32 at most/)
})

test('the zone that a machine knows is among its labels, and may not be contradicted', () => {
  assert.deepEqual(withZone({ disk: 'ssd' }, 'eu-1a'), { disk: 'ssd', zone: 'eu-1a' })
  assert.deepEqual(withZone({ zone: 'eu-1a' }, 'eu-1a'), { zone: 'eu-1a' })
  assert.deepEqual([withZone(undefined, undefined), withZone({ zone: 'a' }, undefined)], [undefined, { zone: 'a' }])
  assert.throws(() => withZone({ zone: 'eu-1b' }, 'eu-1a'), /says zone=eu-1b, and this machine is in zone eu-1a/)
})
