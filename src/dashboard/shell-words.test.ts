import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { shellWords, splitWords } from './shell-words.ts'

test('a shell splits the line into the same words', () => {
  const words = ['a', '', "it's", 'a b', '$HOME', '`id`', '--env=K=V', 'path:/wp-*', '"', '\\', 'ü', '!x', 'a\nb']
  const out = execFileSync('/bin/sh', ['-c', `printf '%s\\0' ${shellWords(...words)}`], { encoding: 'utf8' })
  expect(out.split('\0').slice(0, -1)).toEqual(words)
})

test('words without signs of a shell are not quoted', () => {
  expect(shellWords('shadow', 'update', 'blog', undefined, '--image', 'ghcr.io/anna/blog:2')).toBe(
    'shadow update blog --image ghcr.io/anna/blog:2',
  )
})

test('a line is split into the words that a shell sees', () => {
  const lines = [
    'node server.js --port 8000',
    `sh -c 'echo "a  b"' ""`,
    '  a\\ b "c\\"d" e\'f\'"g"  ',
    `a"b\\nc"`,
    "''",
    '',
  ]
  for (const line of lines) {
    const out = execFileSync('/bin/sh', ['-c', `for w in ${line === '' ? '' : line}; do printf '%s\\0' "$w"; done`], {
      encoding: 'utf8',
    })
    expect(splitWords(line), line).toEqual(out.split('\0').slice(0, -1))
  }
})

test('what was written as a line is read as the same words', () => {
  const words = ['a', '', "it's", 'two\nlines', '"\\"', '-']
  expect(splitWords(shellWords(...words))).toEqual(words)
})
