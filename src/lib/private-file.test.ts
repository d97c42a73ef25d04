import assert from 'node:assert/strict'
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { isFailure } from './errors.ts'
import { readPrivate } from './private-file.ts'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-private-'))
  file = `${folder}/secret`
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const isRefused = (how: RegExp) =>
  assert.rejects(readPrivate(file), error => isFailure(error, 'bad-input') && how.test(error.message))

test('a file of ours that is closed to others is read; none, or an empty one, is none', async () => {
  assert.equal(await readPrivate(file), undefined)
  await writeFile(file, '\n', { mode: 0o600 })
  assert.equal(await readPrivate(file), undefined)
  await writeFile(file, 'open sesame\n')
  assert.equal(await readPrivate(file), 'open sesame')
})

for (const mode of [0o644, 0o640, 0o602, 0o666])
  test(`a file with the mode ${mode.toString(8)} is refused`, async () => {
    await writeFile(file, 'planted')
    await chmod(file, mode)
    await isRefused(new RegExp(`others may read or write it \\(mode ${mode.toString(8)}\\)`))
  })

test.skipIf(process.geteuid?.() !== 0)('a file of another user is refused, whatever its mode', async () => {
  await writeFile(file, 'planted', { mode: 0o600 })
  await chown(file, 65_534, 65_534)
  await isRefused(/belongs to the user 65534/)
})

test('a link and a folder are refused', async () => {
  await writeFile(`${folder}/other`, 'planted', { mode: 0o600 })
  await symlink(`${folder}/other`, file)
  await isRefused(/symbolic link/)
  await rm(file)
  await mkdir(file, { mode: 0o700 })
  await isRefused(/no plain file/)
})
