import { expect, test } from 'vitest'
import { Table, tableMemory } from './table.ts'

test('the lock of one who died in it is taken over, and not given up by it, should it live after all', () => {
  const memory = tableMemory(64, 4)
  const [dead, next, last] = [new Table(memory, 1), new Table(memory, 1), new Table(memory, 1)]
  const lock = (): number | undefined => new Int32Array(memory)[4]
  dead.enter('key')
  const held = lock()
  next.enter('key')
  const taken = lock()
  expect([held === 0, taken === 0, taken === held]).toEqual([false, false, false])
  dead.leave()
  expect(lock()).toBe(taken)
  next.leave()
  expect(lock()).toBe(0)
  last.enter('key')
  last.leave()
  expect(lock()).toBe(0)
})
