import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { TAR_END, treeHeader } from '../../lib/tar/header.ts'
import type { Sha256 } from '../../model/digest.ts'
import { appName } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { HandClock } from '../../testing/clock.ts'
import { Sources } from './sources.ts'

const root = await mkdtemp(join(tmpdir(), 'shadow-test-sources-'))
afterAll(() => rm(root, { recursive: true, force: true }))
let number = 0
const DAY = 86_400_000

/** A tar with one empty file of this name. */
const tarOf = (name: string): Buffer =>
  Buffer.concat([treeHeader({ kind: 'file', name, size: 0, isExecutable: false, link: '' }), TAR_END])
const digestOf = (tar: Buffer) => createHash('sha256').update(tar).digest('hex') as Sha256
const taskOf = (digest: Sha256) => ({ app: appName('blog'), source: { digest } }) as TaskDefinition
const never = new AbortController().signal

async function environment({ answer = (tar: Buffer): Buffer => tar, inReach = [] as TaskDefinition[] } = {}) {
  const folder = join(root, `${++number}`)
  const stored = new Map<string, Buffer>()
  const asked: unknown[] = []
  const raw = async (name: string, { params, headers }: { params: { digest: string }; headers: object }) => {
    asked.push([name, headers])
    const tar = stored.get(params.digest)
    if (tar === undefined) throw new ShadowError('not-found', 'no')
    return { status: 200, headers: {}, body: Readable.from([answer(tar)]) }
  }
  const clock = new HandClock()
  const sources = new Sources({
    folder,
    master: { raw } as unknown as MasterClient,
    permitOf: app => `permit of ${app}`,
    inReach: () => inReach,
    clock,
    log: noLog,
  })
  const store = (tar: Buffer): Sha256 => {
    stored.set(digestOf(tar), tar)
    return digestOf(tar)
  }
  return { folder, sources, store, asked, clock }
}

test('a source is fetched once, with the permit of its app, and is a folder then', async () => {
  const { folder, sources, store, asked } = await environment()
  await sources.start()
  const digest = store(tarOf('a/b.js'))
  await Promise.all([sources.ensure(taskOf(digest), never), sources.ensure(taskOf(digest), never)])
  await sources.ensure(taskOf(digest), never)
  assert.deepEqual(asked, [['getSource', { 'x-shadow-permit': 'permit of blog' }]])
  assert.equal(await readFile(join(folder, digest, 'a/b.js'), 'utf8'), '')
  assert.deepEqual(await readdir(folder), [digest])
})

test('every user of a container can read a source, though the umask of the node lets nobody in', async () => {
  const umask = process.umask(0o077)
  try {
    const { folder, sources, store } = await environment()
    await sources.start()
    const digest = store(tarOf('a/b.js'))
    await sources.ensure(taskOf(digest), never)
    const modes = await Promise.all(
      [digest, `${digest}/a`, `${digest}/a/b.js`].map(async path => (await stat(join(folder, path))).mode & 0o777),
    )
    assert.deepEqual(modes, [0o755, 0o755, 0o644])
  } finally {
    process.umask(umask)
  }
})

test('a source whose bytes are not those of its digest is not used, and nothing is left of it', async () => {
  const { folder, sources, store } = await environment({ answer: () => tarOf('other') })
  await sources.start()
  const digest = store(tarOf('a'))
  await assert.rejects(sources.ensure(taskOf(digest), never), /what came has the SHA-256/)
  assert.deepEqual(await readdir(folder), [])
})

test('a source that is cut short, or gone from the store, is told so', async () => {
  const { folder, sources, store } = await environment({ answer: tar => tar.subarray(0, 700) })
  await sources.start()
  const failsWith = (code: 'master-unreachable' | 'definition-refused') => (error: unknown) => isFailure(error, code)
  await assert.rejects(sources.ensure(taskOf(store(tarOf('a'))), never), failsWith('master-unreachable'))
  await assert.rejects(sources.ensure(taskOf(digestOf(tarOf('gone'))), never), failsWith('definition-refused'))
  assert.deepEqual(await readdir(folder), [])
})

test('what a crash left of a download is removed at the start', async () => {
  const { folder, sources } = await environment()
  await mkdir(join(folder, 'part-0123', 'a'), { recursive: true })
  await sources.start()
  assert.deepEqual(await readdir(folder), [])
})

test('a source that no definition in reach has is removed a week after its last use; the others stay', async () => {
  const kept = tarOf('kept')
  const { folder, sources, store, clock } = await environment({ inReach: [taskOf(digestOf(kept))] })
  await sources.start()
  const [mine, other] = [store(kept), store(tarOf('other'))]
  for (const digest of [mine, other]) await sources.ensure(taskOf(digest), never)
  // Folders get the time of the machine when they are made, and that of the clock when they are used.
  for (const digest of [mine, other]) await sources.ensure(taskOf(digest), never)
  clock.setWall(6 * DAY)
  await sources.prune()
  assert.equal((await readdir(folder)).length, 2)
  clock.setWall(2 * DAY)
  await sources.prune()
  assert.deepEqual(await readdir(folder), [mine])
})
