import assert from 'node:assert/strict'
import { test } from 'vitest'
import { aTask } from '../testing/fake-app.ts'
import { RegisterSchema, TaskSchema } from './schemas.ts'

const register = (line: string) => RegisterSchema.safeParse({ name: 'blog', image: 'x', ready: { kind: 'log', line } })

test('a pattern of a line is one that RE2 takes, or a fault of the definition', () => {
  assert.equal(register('started in [0-9.]+ s').success, true)
  for (const line of ['(?=x)y', '(', 'a{5000}']) {
    const { error } = register(line)
    assert.match(error?.issues[0]?.message ?? '', /regular expression/, line)
  }
})

test('a stored task with a pattern of before can still be read', () => {
  const task = aTask({ ready: { kind: 'log', line: '(?=x)y' } })
  assert.deepEqual(TaskSchema.parse(task).ready, task.ready)
})
