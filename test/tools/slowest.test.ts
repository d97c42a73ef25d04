import { expect, test } from 'vitest'
import type { TestModule } from 'vitest/node'
import { slowestLines, timed } from './slowest.ts'

test('the slowest twenty tests are told, the slowest first', () => {
  const tests = Array.from({ length: 30 }, (_, i) => ({ name: `test ${i}`, ms: i * 1_000 }))
  const lines = slowestLines(tests)
  expect(lines).toHaveLength(20)
  expect([lines[0], lines[19]]).toEqual(['  29.0 s  test 29', '  10.0 s  test 10'])
})

test('a test is told with its file, and one that did not run took no time', () => {
  const tests = [
    { fullName: 'an app > wakes', diagnostic: () => ({ duration: 1_250 }) },
    { fullName: 'skipped', diagnostic: () => undefined },
  ]
  const module = { relativeModuleId: 'test/apps/a.test.ts', children: { allTests: () => tests } }
  expect(timed([module as unknown as TestModule])).toEqual([
    { name: 'test/apps/a.test.ts: an app > wakes', ms: 1_250 },
    { name: 'test/apps/a.test.ts: skipped', ms: 0 },
  ])
})
