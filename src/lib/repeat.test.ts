import { expect, test } from 'vitest'
import { HandClock } from '../testing/clock.ts'
import { repeat } from './repeat.ts'

test('what is repeated goes on after a failure, one at a time, and ends when it is disposed of', async () => {
  const clock = new HandClock()
  const failures: unknown[] = []
  const gates: PromiseWithResolvers<void>[] = []
  const repeated = repeat(
    clock,
    100,
    () => {
      gates.push(Promise.withResolvers<void>())
      return gates.at(-1)?.promise ?? Promise.resolve()
    },
    cause => failures.push(cause),
  )
  await clock.advance(1_000)
  expect(gates).toHaveLength(1)
  gates[0]?.reject(new Error('once'))
  await clock.advance(100)
  expect([gates.length, failures.length]).toEqual([2, 1])
  repeated[Symbol.dispose]()
  gates[1]?.resolve()
  await clock.advance(1_000)
  expect(gates).toHaveLength(2)
})
