import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { shellWords } from './shell-words.ts'

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
