import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { shadow } from '../testing/cli.ts'

const moved = { app: 'blog', from: 'n1', to: 'n2', moved: true, onDiskBytes: 2 ** 20, heldMs: 1_200 }

test('move says from where to where, and how much', async () => {
  let body: unknown
  const { exit, terminal } = await shadow('move blog --to n2', {
    moveApp: call => {
      body = call.body
      return moved
    },
  })
  assert.deepEqual([exit, body], [0, { to: 'n2' }])
  assert.equal(terminal.stdout, 'blog is on n2: 1MiB moved from n1; it was held for 1.2s\n')
})

test('move of what is there already, or has no data yet, is success and says so', async () => {
  const there = await shadow('move blog --to n1', { moveApp: () => ({ ...moved, to: 'n1', moved: false }) })
  assert.deepEqual([there.exit, there.terminal.stdout], [0, 'blog is on n1 already\n'])
  const empty = await shadow('move blog --to n2', { moveApp: () => ({ ...moved, from: null, moved: false }) })
  assert.deepEqual([empty.exit, empty.terminal.stdout], [0, 'blog has no data yet, so there is nothing to move\n'])
})

test('move --json prints the answer and nothing else; a failure has the exit code of its error', async () => {
  const { terminal } = await shadow('move blog --to n2 --json', { moveApp: () => moved })
  assert.deepEqual([JSON.parse(terminal.stdout), terminal.stderr], [moved, ''])
  const full = await shadow('move blog --to n2', {
    moveApp: () => {
      throw new ShadowError('disk-full', 'the disk of n2 has no room')
    },
  })
  assert.equal(full.exit, 7)
})
