import assert from 'node:assert/strict'
import { test } from 'vitest'
import { linePattern } from '../../../../lib/line-pattern.ts'
import { commandOf, logAround, queryOf } from './log-query.ts'

const ASKED = { text: '', isPattern: false, since: '', until: '', instance: '' }

test('a text matches itself alone, in upper and lower case, whatever signs it has', () => {
  const text = String.raw`[a-z]+ (x|y) $1.50 {2} \d ^*?`
  const matches = linePattern(queryOf({ ...ASKED, text }).grep ?? '')
  assert.equal(matches(`before ${text.toUpperCase()} after`), true)
  assert.equal(matches('abc x 1 50'), false)
})

test('a pattern goes as it is, and what was not asked for is left out', () => {
  assert.deepEqual(queryOf({ ...ASKED, text: 'a|b', isPattern: true, since: '1h' }), { grep: 'a|b', since: '1h' })
  assert.deepEqual(queryOf(ASKED), {})
})

test('the command has the same filter, quoted for a shell', () => {
  assert.equal(commandOf('blog', ASKED, true), 'shadow logs blog -f')
  const asked = { ...ASKED, text: "it's", since: '1h', instance: 'blog.2' }
  assert.equal(commandOf('blog', asked, false), `shadow logs blog --since 1h --instance blog.2 --grep '(?i)it'\\''s'`)
})

test('the log around a moment is that of a minute before and after it', () => {
  const { searchParams } = new URL(logAround('blog', '2026-11-29T10:00:00.000Z'), 'http://x.test')
  const { since = '', until = '' } = Object.fromEntries(searchParams)
  assert.deepEqual([since, until], ['2026-11-29T09:59:00.000Z', '2026-11-29T10:01:00.000Z'])
  assert.match(
    commandOf('blog', { ...ASKED, since, until }, false),
    /--since 2026-11-29T09:59:00.000Z --until 2026-11-29T10:01/,
  )
})
