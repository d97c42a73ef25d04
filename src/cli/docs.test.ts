import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'vitest'
import { withTables } from './docs.ts'

test('the tables of the README are those of the code (npm run docs makes them anew)', async () => {
  const readme = await readFile(`${import.meta.dirname}/../../README.md`, 'utf8')
  assert.equal(await withTables(readme), readme)
})

test('a README without the markers is refused rather than left as it is', async () => {
  await assert.rejects(withTables('# Shadow\n'), /has no "<!-- settings/)
})
