import assert from 'node:assert/strict'
import { test } from 'vitest'
import { parseAnsi, plainText } from './ansi.ts'

const ESC = '\x1b'
const spans = (line: string): readonly (readonly [string, string])[] =>
  parseAnsi(line).map(({ text, classes }) => [text, classes])

test('colours and styles become classes, and end where they end', () => {
  assert.deepEqual(spans(`a${ESC}[31mred${ESC}[1m bold${ESC}[0m plain`), [
    ['a', ''],
    ['red', 'fg-1'],
    [' bold', 'fg-1 bold'],
    [' plain', ''],
  ])
  assert.deepEqual(spans(`${ESC}[1;4;92;44mx${ESC}[22;24;39;49my`), [
    ['x', 'fg-2 bg-4 bold underline'],
    ['y', ''],
  ])
  assert.deepEqual(spans(`${ESC}[mx`), [['x', '']])
})

test('colours of 256 and of 16 million become the nearest of eight', () => {
  assert.deepEqual(spans(`${ESC}[38;5;196mred${ESC}[38;2;10;200;30mgreen${ESC}[38;5;15mwhite${ESC}[48;5;240;1mgrey`), [
    ['red', 'fg-1'],
    ['green', 'fg-2'],
    ['white', 'fg-7'],
    ['grey', 'fg-7 bg-0 bold'],
  ])
})

test('other sequences are left out: cursor, title, links, and such that never end', () => {
  assert.equal(plainText(`${ESC}[2J${ESC}[1;1Ha${ESC}[Kb${ESC}(Bc${ESC}7d`), 'abcd')
  assert.equal(plainText(`${ESC}]0;a title\x07text`), 'text')
  assert.equal(plainText(`${ESC}]8;;http://x.test${ESC}\\link${ESC}]8;;${ESC}\\ after`), 'link after')
  assert.equal(plainText(`before${ESC}]0;never ends`), 'before')
  assert.equal(plainText(`\x9b31mred\x9d0;title\x9c end`), 'red end')
  assert.equal(plainText(`end${ESC}`), 'end')
  assert.deepEqual(spans(`${ESC}[>4mx`), [['x', '']])
})

test('control characters that are no sequence are shown, so that no text is hidden or turned round', () => {
  assert.equal(plainText('shown\rover\x08\u202etxt.exe\0'), 'shown\\rover\\x08\\u202etxt.exe\\x00')
  assert.equal(plainText('a\tb\r'), 'a\tb')
})

test('markup is text like any other', () => {
  assert.deepEqual(spans('<img src=x onerror=alert(1)>&amp;'), [['<img src=x onerror=alert(1)>&amp;', '']])
})

test('a long line of codes alone takes no time', () => {
  assert.equal(plainText(`${ESC}[31`.repeat(50_000)).length < 50_000 * 4, true)
  assert.equal(plainText(`${ESC}]`.repeat(50_000)), '')
})
