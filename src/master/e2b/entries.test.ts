import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { entryInfo, readEntries, SHOW } from './entries.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-entries-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const show = async (...paths: string[]) =>
  readEntries((await promisify(execFile)('sh', ['-c', SHOW, 'sh', ...paths], { encoding: 'buffer' })).stdout)

test('files, folders and links are told as they are, whatever their names, and what has vanished is left out', async () => {
  const odd = join(folder, 'a b\nc "$(touch no)" \\')
  await writeFile(odd, 'four')
  await chmod(odd, 0o640)
  await utimes(odd, 0, 1_700_000_000.25)
  await mkdir(join(folder, '-rf'))
  await symlink('to\nnowhere', join(folder, 'link'))
  const [file, link, inner] = await show(odd, join(folder, 'gone'), join(folder, 'link'), join(folder, '-rf'))
  assert.ok(file && link && inner)
  assert.deepEqual(
    { ...entryInfo(file), owner: '', group: '' },
    {
      name: 'a b\nc "$(touch no)" \\',
      type: 'FILE_TYPE_FILE',
      path: odd,
      size: '4',
      mode: 0o640,
      permissions: '-rw-r-----',
      owner: '',
      group: '',
      modifiedTime: '2023-11-14T22:13:20.250000000Z',
    },
  )
  assert.deepEqual([entryInfo(link).type, entryInfo(link).symlinkTarget], ['FILE_TYPE_SYMLINK', 'to\nnowhere'])
  assert.deepEqual([entryInfo(inner).type, entryInfo(inner).permissions[0]], ['FILE_TYPE_DIRECTORY', 'd'])
})
