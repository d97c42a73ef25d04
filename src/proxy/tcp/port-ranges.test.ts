import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isInRanges, portRanges } from './port-ranges.ts'

test('ports and ranges are read', () => {
  const ranges = portRanges('5432, 10000-10010')
  assert.deepEqual(
    [5431, 5432, 9999, 10_000, 10_010, 10_011].map(port => isInRanges(port, ranges)),
    [false, true, false, true, true, false],
  )
  assert.deepEqual(portRanges('none'), [])
})

for (const wrong of ['', 'x', '0', '70000', '20-10', '1-2-3', '5432,'])
  test(`"${wrong}" is no list of ports`, () => {
    assert.throws(() => portRanges(wrong), { code: 'bad-input' })
  })
