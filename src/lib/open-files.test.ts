import { expect, test } from 'vitest'
import { connectionsWithin, mostOpenFiles } from './open-files.ts'

test('the limit of open files is known on Linux', () => {
  expect(mostOpenFiles()).toBeGreaterThan(100)
})

for (const [wanted, files, got] of [
  [20_000, 1_048_576, 20_000],
  [20_000, 20_000, 19_488],
  [20_000, 1_024, 512],
  [20_000, 160, 53],
  [10, 160, 10],
] as const)
  test(`with ${files} files, of ${wanted} connections ${got} can be open`, () => {
    expect(connectionsWithin(wanted, files)).toBe(got)
  })
