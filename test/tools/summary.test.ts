import { expect, test } from 'vitest'
import type { TestModule } from 'vitest/node'
import { count, failureLines, summaryLine } from './summary.ts'

const moduleOf = (state: string, ...results: string[]): TestModule =>
  ({
    state: () => state,
    children: { allTests: () => results.map(state => ({ result: () => ({ state }) })) },
  }) as unknown as TestModule

test('the summary counts tests by how they ended', () => {
  const modules = [moduleOf('passed', 'passed', 'passed', 'skipped'), moduleOf('failed', 'failed', 'passed')]
  expect(summaryLine(count(modules, []))).toBe('3 passed, 1 failed, 1 skipped')
})

test('the summary names skipped tests only where there are some', () => {
  expect(summaryLine(count([moduleOf('passed', 'passed')], []))).toBe('1 passed, 0 failed')
})

test('a file that cannot be loaded, a test cut short and an error outside all tests are failures', () => {
  const modules = [moduleOf('failed'), moduleOf('failed', 'pending', 'passed')]
  expect(summaryLine(count(modules, [{ message: 'unhandled' }]))).toBe('1 passed, 3 failed')
})

const STACK =
  'Error: expected\n    at /repo/node_modules/vitest/x.js:1:2\n    at /repo/a.test.ts:3:9\n    at /repo/b.ts:1:1'

test('what failed is named with its file, what its error says in one line, and where it was thrown', () => {
  const failed = {
    fullName: 'an app > wakes',
    result: () => ({ state: 'failed', errors: [{ message: 'expected 200\n\n  and a diff', stack: STACK }] }),
  }
  const cut = { fullName: 'an app > sleeps', result: () => ({ state: 'pending', errors: undefined }) }
  const passed = { fullName: 'an app > rests', result: () => ({ state: 'passed', errors: undefined }) }
  const file = (name: string, state: string, ...tests: unknown[]) =>
    ({ relativeModuleId: name, state: () => state, children: { allTests: () => tests } }) as unknown as TestModule
  expect(
    failureLines([
      file('a.test.ts', 'failed', failed, cut, passed),
      file('b.test.ts', 'failed'),
      file('c.test.ts', 'passed'),
    ]),
  ).toEqual([
    'FAILED a.test.ts: an app > wakes: expected 200 and a diff (at /repo/a.test.ts:3:9)',
    'FAILED a.test.ts: an app > sleeps: it did not end',
    'FAILED b.test.ts',
  ])
})
