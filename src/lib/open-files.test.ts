import { expect, test } from 'vitest'
import { mostOpenFiles, socketsWithin } from './open-files.ts'

test('the limit of open files is known on Linux', () => {
  expect(mostOpenFiles()).toBeGreaterThan(100)
})

for (const [wanted, files, connections, sockets] of [
  [20_000, 1_048_576, 20_000, 1_048_064],
  [20_000, 20_000, 14_616, 19_488],
  [20_000, 1_024, 384, 512],
  [20_000, 160, 39, 53],
  [10, 160, 10, 53],
] as const)
  test(`with ${files} files, of ${wanted} connections ${connections} can be open, of ${sockets} sockets`, () => {
    expect(socketsWithin(wanted, files)).toEqual({ connections, sockets })
  })
