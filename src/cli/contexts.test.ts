import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { openContexts } from './contexts.ts'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-contexts-'))
  file = join(folder, 'config/contexts.json')
})
afterEach(() => rm(folder, { recursive: true }))

const names = ['__proto__', ...Array.from({ length: 20 }, (_, i) => `c${i}`)]
const context = { url: 'http://master', token: 't' }

test('contexts that are added side by side are all kept, each opened before any was written', async () => {
  const opened = await Promise.all(names.map(() => openContexts(file)))
  await Promise.all(names.map((name, i) => opened[i]?.add(name, context)))
  const after = await openContexts(file)
  assert.deepEqual(
    after
      .list()
      .map(({ name }) => name)
      .sort(),
    names.toSorted(),
  )
  assert.ok(names.includes(after.current ?? ''))
  JSON.parse(await readFile(file, 'utf8'))
  for (const name of await readdir(join(folder, 'config')))
    assert.equal((await stat(join(folder, 'config', name))).mode & 0o777, 0o600, name)
})

test('what somebody else removed meanwhile is not there, and what they added stays', async () => {
  const mine = await openContexts(file)
  await mine.add('a', context)
  const theirs = await openContexts(file)
  await theirs.remove('a')
  await theirs.add('b', context)
  await assert.rejects(mine.use('a'), /no context "a"/)
  await mine.add('c', context)
  assert.deepEqual(
    (await openContexts(file)).list().map(({ name }) => name),
    ['b', 'c'],
  )
})
