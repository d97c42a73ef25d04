import fc from 'fast-check'
import { expect, test } from 'vitest'
import { glob } from './glob.ts'

for (const [pattern, text, matches] of [
  ['/wp-login.php', '/wp-login.php', true],
  ['/wp-login.php', '/wp-login.phpx', false],
  ['/wp-login.php', '/WP-login.php', false],
  ['/wp-*', '/wp-', true],
  ['/wp-*', '/wp-admin/setup.php', true],
  ['*.php', '/a/b.php', true],
  ['*.php', '.ph', false],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['*aab*aab*', 'aaabaaab', true],
  ['*aab*aab*', 'aaabaab', true],
  ['*aab*aab*', 'aaabab', false],
  ['*ab*', 'ba', false],
  ['a*b*c', 'a-c-b-c', true],
  ['a*b*c', 'a-c-b', false],
  ['*', '', true],
  ['', '', true],
  ['', 'a', false],
  ['a.c', 'abc', false],
] as const)
  test(`"${pattern}" ${matches ? 'matches' : 'does not match'} "${text}"`, () => {
    expect(glob(pattern)(text)).toBe(matches)
  })

test('it agrees with a regular expression on all short patterns and texts', () => {
  const short = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 7 })
  const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 12 })
  fc.assert(
    fc.property(short, text, (pattern, subject) => {
      const expected = new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(subject)
      expect(glob(pattern)(subject)).toBe(expected)
    }),
    { numRuns: 2_000 },
  )
})

test('a pattern that would make a regular expression backtrack takes linear time', () => {
  const matches = glob(`${'*a'.repeat(60)}*b`)
  const from = performance.now()
  expect(matches('a'.repeat(100_000))).toBe(false)
  expect(matches(`${'a'.repeat(100_000)}b`)).toBe(true)
  expect(performance.now() - from).toBeLessThan(1_000)
})
