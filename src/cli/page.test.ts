import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, test } from 'vitest'
import { shadow } from '../testing/cli.ts'
import { anApp } from '../testing/fake-app.ts'

const folder = await mkdtemp(join(tmpdir(), 'shadow-test-page-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

const HTML = '<!doctype html><h1>Back soon</h1>'
const file = join(folder, 'waiting.html')
await writeFile(file, HTML)

test('page set adds one page to those that are there, unset takes it away, ls shows both', async () => {
  let app = { ...anApp(), pages: { error: HTML } } as Record<string, unknown>
  const answers = {
    getApp: () => app,
    setPages: ({ body }: { body: unknown }) => {
      app = { ...app, pages: body }
      return app
    },
  }
  const set = await shadow(`page set blog waiting ${file}`, answers)
  assert.equal(set.exit, 0, set.terminal.stderr)
  assert.deepEqual(set.calls.at(-1)?.body, { error: HTML, waiting: HTML })
  assert.equal(set.calls.at(-1)?.ifMatch, '"1"')
  assert.match(set.terminal.stdout, /waiting +33B\nerror +33B/)
  const unset = await shadow('page unset blog error', answers)
  assert.deepEqual(unset.calls.at(-1)?.body, { waiting: HTML })
  const listed = await shadow('page ls blog', answers)
  assert.match(listed.terminal.stdout, /waiting +33B\nerror +- \(the front's own\)/)
  assert.equal((await shadow('page unset blog error', answers)).exit, 3)
})

test('what is no page, no file or no kind is refused before anything is sent', async () => {
  const text = join(folder, 'text')
  await writeFile(text, 'hello')
  for (const [line, says] of [
    [`page set blog waiting ${text}`, /begins with <!doctype html>/],
    [`page set blog waiting ${folder}/none`, /none cannot be read: ENOENT/],
    [`page set blog sleeping ${file}`, /Allowed choices are waiting, error/],
  ] as const) {
    const { exit, terminal, calls } = await shadow(line, {})
    assert.equal(exit, 2)
    assert.match(terminal.stderr, says)
    assert.equal(calls.length, 0)
  }
})
