import assert from 'node:assert/strict'
import { test } from 'vitest'
import { escapeControls } from './control-characters.ts'

for (const [text, escaped] of [
  ['plain ä 😀\n\tindented\n', 'plain ä 😀\n\tindented\n'],
  ['\x1b[2J\x1b]0;title\x07', '\\x1b[2J\\x1b]0;title\\x07'],
  ['real\rfake', 'real\\rfake'],
  ['of Windows\r\nlines\r\n', 'of Windows\nlines\n'],
  ['\0\b\v\f\x7f', '\\x00\\x08\\x0b\\x0c\\u007f'],
  ['\x9b31m\x85', '\\u009b31m\\u0085'],
  ['a\u202eb\u2066c\u2028d', 'a\\u202eb\\u2066c\\u2028d'],
] as const)
  test(`${JSON.stringify(text)} is shown as ${JSON.stringify(escaped)}`, () =>
    assert.equal(escapeControls(text), escaped))

test('JSON stays JSON', () => {
  const value = { line: '\x1b[31m \x9b \x7f \u202e "\n' }
  assert.deepEqual(JSON.parse(escapeControls(JSON.stringify(value))), value)
})
