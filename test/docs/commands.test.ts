import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { type Block, blocksOf } from '../../contrib/docs/markdown.ts'
import { daemonOf, makeExample, Reader } from '../tools/reader.ts'
import { shapes, stepsOf } from './transcript.ts'

const ROOT = join(import.meta.dirname, '../..')
/** The name of the node in transcripts. Each reader has a node of its own. */
const NODE = 'my-server'

const pages = ['README.md', ...readdirSync(join(ROOT, 'docs')).map(name => `docs/${name}`)]
  .map(page => ({ page, blocks: blocksOf(readFileSync(join(ROOT, page), 'utf8')).filter(isRun) }))
  .filter(({ blocks }) => blocks.length > 0)

function isRun({ language, notRun }: Block): boolean {
  return (language === 'sh' || language === 'console') && notRun === undefined
}

beforeAll(async () => {
  await makeExample()
})

for (const { page, blocks } of pages)
  test(`the commands of ${page} work as they stand`, async () => {
    await using reader = await Reader.start()
    // Pages assume that Shadow runs, except for pages that start it themselves.
    const first = blocks.find(({ text }) => /\bshadow (?!cluster)\w/.test(text))
    if (first === undefined || daemonOf(first.text) === undefined) await reader.type('shadow up')
    for (const block of blocks) {
      try {
        if (block.language === 'sh') await reader.type(block.text)
        else await follow(reader, block.text)
      } catch (cause) {
        throw new Error(`${page}:${block.line}: ${(cause as Error).message}`, { cause })
      }
    }
  })

/** Types the commands of a transcript and compares their output with it, except for times and numbers. */
async function follow(reader: Reader, text: string): Promise<void> {
  for (const { command, shown } of stepsOf(text)) {
    const printed = await reader.type(command.replaceAll(NODE, reader.node))
    expect(shapes(printed.replaceAll(reader.node, NODE).split('\n')), command).toEqual(shapes(shown))
  }
}

// Tests of the reader itself: the tests above would also pass with a reader that checks nothing.
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
