import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, test } from 'vitest'
import { sha256 } from '../../model/digest.ts'
import { describeBlobs } from '../../testing/blobs-contract.ts'
import { directory as documents } from '../storage/directory.ts'
import { directory } from './directory.ts'

let path: string
beforeAll(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-blobs-'))
})
afterAll(() => rm(path, { recursive: true, force: true }))

describeBlobs('directory', async () => directory({ path }))

const content = Buffer.from('hello')
const digest = sha256(createHash('sha256').update(content).digest('hex'))

test('a blob is a file named by its digest, for us alone, and no part of it is left over', async () => {
  const blobs = directory({ path })
  const parts = join(path, 'blobs/.parts')
  await blobs.put(digest, [content] as never, new AbortController().signal)
  assert.equal((await stat(join(path, 'blobs', digest))).mode & 0o777, 0o600)
  assert.deepEqual(await readdir(parts), [])
})

test('the part that a killed upload left is removed by a later one, and one that is written to now is not', async () => {
  const parts = join(path, 'blobs/.parts')
  for (const name of ['old', 'new']) await writeFile(join(parts, name), 'x')
  await utimes(join(parts, 'old'), new Date(0), new Date(0))
  const blobs = directory({ path })
  await blobs.remove(digest)
  await blobs.put(digest, [content] as never, new AbortController().signal)
  assert.deepEqual(await readdir(parts), ['new'])
})

test('blobs and documents share a directory and do not see one another', async () => {
  const storage = await documents({ path })
  await storage.create('doc.json', {})
  assert.deepEqual(await storage.list(''), ['doc.json'])
  await storage.close()
})
