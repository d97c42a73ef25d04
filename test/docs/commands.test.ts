import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { type Block, blocksOf } from '../../contrib/docs/markdown.ts'
import { daemonOf, makeExample, Reader } from '../tools/reader.ts'
import { shapes, stepsOf } from './transcript.ts'

const ROOT = join(import.meta.dirname, '../..')
/** The node of transcripts: each reader has one of its own. */
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
    // Pages are about a Shadow that runs, but for those that start one themselves.
    const first = blocks.find(({ text }) => /\bshadow \w/.test(text))
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

/** Types what a transcript has, and compares what it shows, but for times and numbers. */
async function follow(reader: Reader, text: string): Promise<void> {
  for (const { command, shown } of stepsOf(text)) {
    const printed = await reader.type(command.replaceAll(NODE, reader.node))
    expect(shapes(printed.replaceAll(reader.node, NODE).split('\n')), command).toEqual(shapes(shown))
  }
}
