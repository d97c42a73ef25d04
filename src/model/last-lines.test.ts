import { expect, test } from 'vitest'
import { withLastLines, withoutLastLines } from './last-lines.ts'

for (const lines of [[], ['one'], ['one', 'x; its last lines:', 'two; it wrote nothing']]) {
  test(`what happened is told with ${lines.length} lines, and without them again`, () => {
    const told = withLastLines('blog ended', lines)
    for (const line of lines) expect(told).toContain(line)
    expect(withoutLastLines(told)).toBe('blog ended')
    expect(withoutLastLines(`in a crash loop; the last time, ${told}`)).toBe(
      'in a crash loop; the last time, blog ended',
    )
  })
}

test('of long lines the end is told; a message without any stays as it is', () => {
  expect(withLastLines('it ended', ['abc', 'def'], 5)).toBe('it ended; its last lines:\nc\ndef')
  expect(withoutLastLines('it ended;\nthat is all')).toBe('it ended;\nthat is all')
})
