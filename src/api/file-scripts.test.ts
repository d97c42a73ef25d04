import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { test } from 'vitest'
import { temporaryFolder } from '../testing/folders.ts'
import { entriesIn, fileCommands, fileFault } from './file-scripts.ts'

test('a folder is listed with the kinds and sizes of what it has, hidden and oddly named entries too', async () => {
  const folder = temporaryFolder('shadow-files-')
  await writeFile(`${folder}/-rf a`, 'abc')
  await writeFile(`${folder}/.hidden`, '')
  await mkdir(`${folder}/sub/deep`, { recursive: true })
  await symlink('nowhere', `${folder}/link`)
  const [file = '', ...words] = fileCommands.list(folder)
  const { stdout } = await promisify(execFile)(file, words)
  assert.deepEqual(
    entriesIn(stdout).map(({ name, kind }) => `${kind} ${name}`),
    ['file -rf a', 'file .hidden', 'link link', 'folder sub'],
  )
  assert.equal(entriesIn(stdout)[0]?.size, 3)
})

test('exit codes say what was wrong with the path', () => {
  assert.deepEqual(fileFault(44, '/a', ''), { code: 'not-found', detail: '/a: no such file or folder' })
  assert.equal(fileFault(1, '/a', 'cat: broken\n').detail, '/a: cat: broken')
})
