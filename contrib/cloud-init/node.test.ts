import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'vitest'

const FILE = join(import.meta.dirname, 'node.sh')

test('the script of the first boot is one that any shell reads, and small enough for EC2', () => {
  for (const shell of ['sh', 'bash']) execFileSync(shell, ['-n', FILE])
  assert.ok(Buffer.byteLength(readFileSync(FILE)) < 15_000)
})

test('the token and the name of the server stand in it once, where no shell takes a part of them for something else', () => {
  const text = readFileSync(FILE, 'utf8')
  for (const place of ['@SHADOW_JOIN_TOKEN@', '@SHADOW_NODE@'])
    assert.equal(text.split(`'${place}'`).length - 1 + text.split(place).length - 1, 2, place)
})
