import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { noLog } from './log.ts'
import { SealedFiles } from './sealed-files.ts'
import { newSealKey, Seals, sealKeys } from './seals.ts'

const seals = new Seals(sealKeys(newSealKey()))
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-sealed-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const files = (given: { mayBeClear?: boolean; folder?: string } = {}): SealedFiles<string, { word: string }> =>
  new SealedFiles({
    folder,
    seals,
    log: noLog,
    what: 'note',
    contextOf: name => `the note ${name}`,
    isName: (text): text is string => /^[a-z]+$/.test(text),
    parse: document => {
      if (typeof (document as { word?: unknown }).word !== 'string') throw new Error('not a note')
      return document as { word: string }
    },
    ...given,
  })

test('what was kept is read again, in the version that was written last, and is not in the file in clear', async () => {
  const kept = files()
  for (const word of ['one', 'two', 'planted-secret']) kept.keep('a', { word })
  await kept.flush()
  assert.deepEqual(await files().all(), [['a', { word: 'planted-secret' }]])
  assert.ok(!(await readFile(`${folder}/a.json`, 'utf8')).includes('planted-secret'))
})

test('what was forgotten is gone, even where its write was still under way', async () => {
  const kept = files()
  kept.keep('a', { word: 'one' })
  kept.forget('a')
  kept.forget('b')
  await kept.flush()
  assert.deepEqual(await readdir(folder), [])
})

test('a file that was moved to another name, is broken or has no name of ours is left alone; the others are read', async () => {
  const kept = files()
  kept.keep('a', { word: 'one' })
  await kept.flush()
  await writeFile(`${folder}/b.json`, await readFile(`${folder}/a.json`))
  await writeFile(`${folder}/c.json`, '{"sea')
  await writeFile(`${folder}/UPPER.json`, await readFile(`${folder}/a.json`))
  assert.deepEqual(await kept.all(), [['a', { word: 'one' }]])
  assert.equal((await readdir(folder)).length, 4)
})

test('a file in clear text is read only where it may be, and is encrypted then', async () => {
  await writeFile(`${folder}/a.json`, '{"word":"planted-secret"}')
  assert.deepEqual(await files().all(), [])
  const kept = files({ mayBeClear: true })
  assert.deepEqual(await kept.all(), [['a', { word: 'planted-secret' }]])
  await kept.flush()
  assert.ok(!(await readFile(`${folder}/a.json`, 'utf8')).includes('planted-secret'))
})

test('a folder that is not there has no documents; one that cannot be read is an error', async () => {
  assert.deepEqual(await files({ folder: `${folder}/none` }).all(), [])
  await writeFile(`${folder}/file`, '')
  await assert.rejects(files({ folder: `${folder}/file` }).all(), /ENOTDIR/)
})
