import { expect, test } from 'vitest'
import { KeyedMutex } from './mutex.ts'

test('tasks of one key take turns, a failed one included; those of another key do not wait', async () => {
  const turns = new KeyedMutex<string>()
  const done: string[] = []
  const gate = Promise.withResolvers<void>()
  const first = turns.take('a', async () => {
    await gate.promise
    done.push('a1')
    throw new Error('failed')
  })
  const second = turns.take('a', async () => void done.push('a2'))
  await turns.take('b', async () => void done.push('b'))
  expect(done).toEqual(['b'])
  gate.resolve()
  await expect(first).rejects.toThrow('failed')
  await second
  expect(done).toEqual(['b', 'a1', 'a2'])
})
