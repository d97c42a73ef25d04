import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { type MemoryFloor, memoryFloor } from './memory-floor.ts'
import { type MemorySample, PressureLevel } from './pressure-level.ts'

const GIB = 2 ** 30

const sample = (availableGib: number, some?: number): MemorySample => ({
  memory: { totalBytes: 100 * GIB, availableBytes: availableGib * GIB, swapTotalBytes: 0, swapFreeBytes: 0 },
  stalls: some === undefined ? undefined : { some, full: 0 },
})

/** Whether the machine counts as short of memory after each look. */
const looks = (floor: MemoryFloor, samples: readonly MemorySample[]): boolean[] => {
  const level = new PressureLevel(floor)
  return samples.map(one => level.look(one) !== undefined)
}

describe('a machine is short of memory', () => {
  test('from below its floor, until a quarter more than the floor is available', () => {
    const found = looks(
      { share: 0.1 },
      [10, 9.9, 10, 12.4, 12.5, 10, 9].map(available => sample(available)),
    )
    assert.deepEqual(found, [false, true, true, true, false, false, true])
  })

  test('while processes wait for a tenth of the time, until they hardly do', () => {
    const found = looks(
      { share: 0.05 },
      [9.9, 10, 5, 2, 1.9, 9].map(some => sample(20, some)),
    )
    assert.deepEqual(found, [false, true, true, true, false, false])
  })

  test('not while processes wait though much is available: their container has reached its own limit', () => {
    assert.deepEqual(looks({ share: 0.05 }, [sample(25, 90), sample(24, 90)]), [false, true])
  })

  test('never where the floor is 0', () => {
    assert.deepEqual(looks({ bytes: 0 }, [sample(0, 100)]), [false])
  })

  test('and the look says why', () => {
    const level = new PressureLevel({ bytes: 8 * GIB })
    assert.deepEqual(level.look(sample(6)), { why: '6GiB of 100GiB are available', isLate: false })
    assert.deepEqual(level.look(sample(20, 12.5)), {
      why: 'processes waited for memory for 12.5 % of the time',
      isLate: true,
    })
  })
})

describe('the floor of the memory', () => {
  test('is a size, a percentage or 0', () => {
    assert.deepEqual(['5%', '2.5 %', '512MiB', '0'].map(memoryFloor), [
      { share: 0.05 },
      { share: 0.025 },
      { bytes: 512 * 2 ** 20 },
      { bytes: 0 },
    ])
  })

  for (const wrong of ['101%', '-1%', '5', 'much', ''])
    test(`is not "${wrong}"`, () => {
      assert.throws(
        () => memoryFloor(wrong),
        error => isFailure(error, 'bad-input'),
      )
    })
})
