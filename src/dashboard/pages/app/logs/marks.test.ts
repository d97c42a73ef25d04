import assert from 'node:assert/strict'
import { test } from 'vitest'
import { parseAnsi } from './ansi.ts'
import { findPattern } from './log-query.ts'
import { markText } from './marks.ts'

const ASKED = { isPattern: false, since: '', until: '', instance: '' }
const marked = (line: string, text: string): string =>
  markText(parseAnsi(line), findPattern({ ...ASKED, text }))
    .map(({ text, classes, isMarked }) => `${classes}${isMarked ? `[${text}]` : text}`)
    .join('|')

test('what was searched for is marked wherever it stands, in upper and lower case', () => {
  assert.equal(marked('An error, and another ERROR', 'error'), 'An |[error]|, and another |[ERROR]')
  assert.equal(marked('error', 'error'), '[error]')
  assert.equal(marked('a.b axb', 'a.b'), '[a.b]| axb')
})

test('a match may go over colours, which stay', () => {
  assert.equal(marked('\x1b[31mred er\x1b[32mror green', 'error'), 'fg-1red |fg-1[er]|fg-2[ror]|fg-2 green')
})

test('nothing is marked where nothing was searched for, nor for a pattern, whose syntax is another one', () => {
  assert.equal(marked('error', ''), 'error')
  assert.equal(findPattern({ ...ASKED, text: 'a|b', isPattern: true }), undefined)
})

test('a long line that matches everywhere takes no time', () => {
  const marked = markText(parseAnsi('ab'.repeat(50_000)), findPattern({ ...ASKED, text: 'a' }))
  assert.equal(marked.length, 100_000)
  assert.deepEqual(
    marked.slice(0, 2).map(({ isMarked }) => isMarked),
    [true, false],
  )
})
