import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isFailure } from './errors.ts'
import { linePattern } from './line-pattern.ts'

for (const [pattern, line, matches] of [
  ['listening', 'App is listening on :8000', true],
  ['^listening', 'App is listening on :8000', false],
  ['listening on|Listening on', 'Listening on :8000', true],
  ['(?i)ready\\.?$', 'it is READY.', true],
  ['started in \\d+(\\.\\d+)? s', 'started in 1.25 s', true],
  ['\\bport[ =:]+[0-9]{2,5}\\b', 'port = 8000', true],
  ['(?<name>up)', 'up', true],
  ['bereit für ä', 'jetzt bereit für äpfel', true],
] as const)
  test(`${pattern} ${matches ? 'is' : 'is not'} in ${line}`, () => assert.equal(linePattern(pattern)(line), matches))

test('of a line the first 2,048 characters are looked at', () => {
  assert.equal(linePattern('end')(`${'x'.repeat(2_045)}end`), true)
  assert.equal(linePattern('end')(`${'x'.repeat(2_046)}end`), false)
})

for (const pattern of ['[', '(', 'a**', '(?=ahead)', '(a)\\1', 'a{5000}', '(?:.{0,400}a){2}[0-9]'])
  test(`${pattern} is refused`, () => {
    assert.throws(
      () => linePattern(pattern),
      error => isFailure(error, 'bad-input'),
    )
  })

test('a pattern and a line that make a backtracking engine stop for hours are matched at once', () => {
  // With JavaScript's own engine, each further x doubles the time: this test would not end.
  assert.equal(linePattern('(x+x+)+y$')(`${'x'.repeat(2_000)}z y.`), false)
  assert.equal(linePattern('.*started.*in.*now')(`${'x started in '.repeat(600)}`), false)
})
