import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Reader } from '../tools/reader.ts'
import { follow, PARTS } from './pages.ts'

// The tests of the pages would also pass with a reader that checks nothing.
test('a command that fails is seen, also in the middle of a block', async () => {
  await using reader = await Reader.start()
  await expect(reader.type('echo before\nfalse\necho after')).rejects.toThrow('ended with 1 and said:\nbefore\n')
})

test('a variable stays from block to block', async () => {
  await using reader = await Reader.start()
  await reader.type('export WHAT="a b"')
  expect(await reader.type('echo "$WHAT"')).toBe('a b\n')
})

test('a transcript that shows other lines than are printed is seen, and other times and numbers are not', async () => {
  await using reader = await Reader.start()
  await follow(reader, '$ echo at 2026-11-28T20:08:42.125Z after 1.5s\nat 2025-01-01T00:00:00.000Z after   20ms')
  await expect(follow(reader, '$ echo awake\nasleep')).rejects.toThrow('echo awake')
  await expect(follow(reader, '$ echo awake')).rejects.toThrow('echo awake')
})

test('each part of the pages has its file', () => {
  const parts = readdirSync(import.meta.dirname).filter(name => /^commands-\d+\.test\.ts$/.test(name))
  expect(parts).toEqual(Array.from({ length: PARTS }, (_, index) => `commands-${index + 1}.test.ts`))
})
