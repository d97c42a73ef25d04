import assert from 'node:assert/strict'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, test } from 'vitest'
import { byteReader } from '../../lib/byte-reader.ts'
import { TAR_END, treeHeader } from '../../lib/tar/header.ts'
import { unpackTree } from '../../lib/tar/unpack-tree.ts'
import { dockerIgnored, sourceIgnored } from './ignored.ts'
import { digestOf, madeFile, madeLink, type Pack, packFolder } from './pack.ts'

const root = await mkdtemp(join(tmpdir(), 'shadow-test-pack-'))
afterAll(() => rm(root, { recursive: true, force: true }))
let number = 0

async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = join(root, `f${++number}`)
  await mkdir(folder)
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder, name, '..'), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  return folder
}

const LIMITS = { entries: 1000, bytes: 1e9 }
const wrong = (why: string) => new Error(why)

async function unpacked(content: AsyncIterable<Uint8Array>): Promise<string> {
  const into = join(root, `u${++number}`)
  await mkdir(into)
  await unpackTree(
    byteReader(content, () => new Error('cut short')),
    into,
    LIMITS,
    wrong,
  )
  return into
}

const namesOf = async (pack: Pack): Promise<string[]> =>
  (await readdir(await unpacked(pack.content()), { recursive: true })).sort()

test('the same files give the same digest, whenever and in whatever order they were written', async () => {
  const one = await folderOf({ 'b.txt': 'b', 'a/x.txt': 'x', 'ä.txt': 'ä' })
  const other = await folderOf({ 'ä.txt': 'ä', 'a/x.txt': 'x', 'b.txt': 'b' })
  await utimes(join(other, 'b.txt'), 1, 1)
  await chmod(join(other, 'b.txt'), 0o600)
  const digests = await Promise.all(
    [one, other].map(async at => digestOf(await packFolder(at, await sourceIgnored(at, [])))),
  )
  assert.equal(digests[0], digests[1])
  await chmod(join(other, 'b.txt'), 0o755) // whether it is a program counts
  assert.notEqual(await digestOf(await packFolder(other, await sourceIgnored(other, []))), digests[0])
})

test('what is packed is there again: long names, links, programs, empty folders, files that were added', async () => {
  const long = `${'d'.repeat(90)}/${'f'.repeat(120)}.txt`
  const folder = await folderOf({ [long]: 'long', 'run.sh': '#!/bin/sh' })
  await chmod(join(folder, 'run.sh'), 0o755)
  await mkdir(join(folder, 'empty'))
  await symlink('../../etc/passwd', join(folder, 'out'))
  const pack = await packFolder(folder, await sourceIgnored(folder, ['node_modules']), [
    madeFile('Made', 'by us'),
    madeLink('node_modules', '/opt/srv/node_modules'),
  ])
  const into = await unpacked(pack.content())
  assert.equal(await readFile(join(into, long), 'utf8'), 'long')
  assert.equal(await readFile(join(into, 'Made'), 'utf8'), 'by us')
  assert.equal((await stat(join(into, 'run.sh'))).mode & 0o777, 0o755)
  assert.ok((await stat(join(into, 'empty'))).isDirectory())
  assert.deepEqual(
    [await readlink(join(into, 'out')), await readlink(join(into, 'node_modules'))],
    ['../../etc/passwd', '/opt/srv/node_modules'],
  )
})

test('a context is what .dockerignore leaves, by the rules of Docker, with the Dockerfile', async () => {
  const folder = await folderOf({
    '.dockerignore': '*\n!src\nsrc/*.log\n',
    Dockerfile: 'FROM x',
    'README.md': '',
    'src/a.js': '',
    'src/b.log': '',
    'src/deep/c.log': '',
  })
  const pack = await packFolder(folder, await dockerIgnored(folder, 'Dockerfile'))
  assert.deepEqual(await namesOf(pack), ['Dockerfile', 'src', 'src/a.js', 'src/deep', 'src/deep/c.log'])
})

test('a source is what .gitignore leaves; without one the usual things are left out', async () => {
  const files = {
    '.git/HEAD': '',
    '.env': 'SECRET=1',
    'a.js': '',
    'dist/b.js': '',
    'node_modules/x/i.js': '',
    'sub/dist/c.js': '',
  }
  const plain = await folderOf(files)
  assert.deepEqual(await namesOf(await packFolder(plain, await sourceIgnored(plain, []))), [
    ...['a.js', 'dist', 'dist/b.js', 'sub', 'sub/dist', 'sub/dist/c.js'],
  ])
  const ruled = await folderOf({ ...files, '.gitignore': 'dist/\n' })
  const names = await namesOf(await packFolder(ruled, await sourceIgnored(ruled, ['node_modules'])))
  assert.deepEqual(names, ['.gitignore', 'a.js', 'sub'])
})

test('a large file is streamed, and one that shrinks meanwhile ends the packing', async () => {
  const folder = await folderOf({ 'big.bin': '' })
  await truncate(join(folder, 'big.bin'), 256 * 2 ** 20)
  const pack = await packFolder(folder, await sourceIgnored(folder, []))
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  let bytes = 0
  for await (const chunk of pack.content()) {
    bytes += chunk.length
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  assert.equal(bytes, pack.bytes)
  assert.ok(most < 160 * 2 ** 20, `${most} bytes in memory`)
  await truncate(join(folder, 'big.bin'), 10)
  await assert.rejects(digestOf(pack), /big.bin was changed while it was read/)
})

const entry = (name: string, kind: 'file' | 'folder' | 'link' = 'file', link = '') =>
  treeHeader({ kind, name, size: 0, isExecutable: false, link })

for (const [what, headers, why] of [
  ['leads up', [entry('../x')], /"..\/x" is no plain path/],
  ['begins at the root', [entry('/etc/x')], /no plain path/],
  ['has a step up inside', [entry('a/../../x')], /no plain path/],
  ['comes twice', [entry('a'), entry('a')], /"a" comes twice/],
  ['is a file and then a folder', [entry('a'), entry('a/b')], /"a" is a file and a folder/],
  ['goes through a link', [entry('a', 'link', '/etc'), entry('a/b')], /"a" is a file and a folder/],
  ['is a folder and then a link', [entry('a/b'), entry('a', 'link', '/etc')], /"a" comes twice/],
] as const)
  test(`a tar with a name that ${what} is refused`, async () => {
    const content = async function* () {
      yield* [...headers, TAR_END]
    }
    await assert.rejects(unpacked(content()), why)
  })
