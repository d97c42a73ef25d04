import assert from 'node:assert/strict'
import { test } from 'vitest'
import { byteReader } from './byte-reader.ts'
import { readSparseMap, sparseMap } from './sparse.ts'

const wrong = () => new Error('wrong')
async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
const read = (map: Buffer, size: number) => readSparseMap(byteReader(one(map), wrong).take, size, wrong)
const text = (lines: string) => Buffer.concat([Buffer.from(lines), Buffer.alloc(512 - lines.length)])

for (const [extents, size, wanted] of [
  [[], 1000, [[1000, 0]]],
  [[[0, 1000]], 1000, [[0, 1000]]],
  [
    [
      [0, 10],
      [500, 20],
    ],
    1000,
    [
      [0, 10],
      [500, 20],
      [1000, 0],
    ],
  ],
  [Array.from({ length: 300 }, (_, n) => [n * 10_000, 5_000] as const), 10_000_000, undefined],
] as const)
  test(`a map of ${extents.length} extents in ${size} bytes is read as it was written, with an end`, async () => {
    const map = sparseMap(extents, size)
    assert.equal(map.length % 512, 0)
    assert.deepEqual(await read(map, size), wanted ?? [...extents, [size, 0]])
  })

for (const [lines, why] of [
  ['1\n0\n1001\n', 'beyond the end'],
  ['2\n100\n50\n120\n10\n', 'overlapping'],
  ['2\n100\n50\n0\n10\n', 'in disorder'],
  ['1\n-1\n5\n', 'negative'],
  ['1\n0x10\n5\n', 'no number'],
  ['9999999999999999\n', 'too large a number'],
  ['2\n0\n5\n', 'too few'],
  ['', 'empty'],
] as const)
  test(`a map that is ${why} is refused`, () => assert.rejects(read(text(lines), 1000), /wrong/))
