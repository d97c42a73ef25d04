import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { type Block, blocksOf } from '../../contrib/docs/markdown.ts'
import { resticHere } from '../../src/testing/restic.ts'
import { daemonOf, makeExample, Reader } from '../tools/reader.ts'
import { shapes, stepsOf } from './transcript.ts'

const ROOT = join(import.meta.dirname, '../..')
/** The name of the node in pages. Each reader has a node of its own. */
const NODE = 'my-server'

const pages = ['README.md', ...readdirSync(join(ROOT, 'docs'), { recursive: true }).map(name => `docs/${name}`)]
  .filter(page => page.endsWith('.md'))
  .map(page => ({ page, blocks: blocksOf(readFileSync(join(ROOT, page), 'utf8')).filter(isRun) }))
  .filter(({ blocks }) => blocks.length > 0)

function isRun({ language, notRun }: Block): boolean {
  return (language === 'sh' || language === 'console') && notRun === undefined
}

/** In how many files the pages are tested, so that these run side by side. */
export const PARTS = 4

/** The pages of a part, from 1 to PARTS. Pages with many commands are spread: they are dealt out forwards and backwards in turn. */
function pagesOf(part: number) {
  const dealt = pages.toSorted((a, b) => b.blocks.length - a.blocks.length)
  return dealt.filter((_, index) => {
    const turn = index % (2 * PARTS)
    return Math.min(turn, 2 * PARTS - 1 - turn) === part - 1
  })
}

// Without Go there may be no restic to make backups with.
const lacks = (page: string): boolean => page === 'docs/backups.md' && resticHere() === undefined

/** Tests that the commands of each page of this part work as they stand. */
export function testPages(part: number): void {
  beforeAll(async () => {
    await makeExample()
  })

  for (const { page, blocks } of pagesOf(part))
    test.skipIf(lacks(page))(`the commands of ${page} work as they stand`, async () => {
      await using reader = await Reader.start()
      // Pages assume that Shadow runs, except for pages that start it themselves.
      const first = blocks.find(({ text }) => /\bshadow (?!cluster)\w/.test(text))
      if (first === undefined || daemonOf(first.text) === undefined) await reader.type('shadow up')
      for (const block of blocks) {
        try {
          if (block.language === 'sh') await reader.type(block.text.replaceAll(NODE, reader.node))
          else await follow(reader, block.text)
        } catch (cause) {
          throw new Error(`${page}:${block.line}: ${(cause as Error).message}`, { cause })
        }
      }
    })
}

/** Types the commands of a transcript and compares their output with it, except for times and numbers. */
export async function follow(reader: Reader, text: string): Promise<void> {
  for (const { command, shown } of stepsOf(text)) {
    const printed = await reader.type(command.replaceAll(NODE, reader.node))
    expect(shapes(printed.replaceAll(reader.node, NODE).split('\n')), command).toEqual(shapes(shown))
  }
}
