import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { newSealKey } from '../lib/seals.ts'
import { anAnnouncement } from '../testing/front.ts'
import { testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

const PLANTED = 'planted-secret-3f9c'
const [oldKey, newKey] = [newSealKey(), newSealKey()]

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-secrets-'))
})
afterEach(() => rm(path, { recursive: true, force: true }))

const aMaster = async (keys?: string) =>
  testMaster(await directory({ path }), undefined, keys === undefined ? {} : { SHADOW_SECRETS_KEY: keys })
const params = { app: 'blog' }
const body = { name: 'blog', image: 'x', env: { PASSWORD: PLANTED } }

/** Every document of the store, as it is on disk. */
async function stored(): Promise<Record<string, string>> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  return Object.fromEntries(await Promise.all(files.map(async file => [file, await readFile(file, 'utf8')] as const)))
}
const inClear = async (text: string) =>
  Object.entries(await stored()).flatMap(([file, content]) => (content.includes(text) ? file : []))

/** The environment that a node gets. */
async function envOf(master: Awaited<ReturnType<typeof aMaster>>): Promise<unknown> {
  const node = await master.as('node', 'n1')
  await master.admin.call('leaseVolume', { params: { volume: 'blog' }, body: { node: 'n1' } })
  return (await node.call('getApp', { params })).task.env
}

test('environments and keys of nodes are in the store encrypted, of old revisions too, and a node is given them as they were', async () => {
  await using master = await aMaster()
  await master.admin.call('registerApp', { body: { ...body, volume: { size: '16MiB' } } })
  await master.admin.call('updateApp', { params, body: { env: { PASSWORD: `${PLANTED}-two` } } })
  await master.admin.call('setAccess', { params, body: { deny: ['10.0.0.1'] } })
  await master.admin.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement() })
  const { key, controlKey } = anAnnouncement()
  for (const secret of [PLANTED, key, controlKey]) assert.deepEqual(await inClear(secret), [])
  assert.deepEqual(await envOf(master), { PASSWORD: `${PLANTED}-two` })
})

test('what an earlier version stored in clear is encrypted at the next start', async () => {
  {
    await using master = await aMaster(oldKey)
    await master.admin.call('registerApp', { body: { ...body, volume: { size: '16MiB' } } })
    await master.admin.call('updateApp', { params, body: { image: 'y' } })
  }
  for (const file of ['apps/blog.json', 'tasks/blog/1.json']) {
    const document = JSON.parse(await readFile(`${path}/${file}`, 'utf8'))
    const task = document.task ?? document
    delete task.sealedEnv
    task.env = { PASSWORD: PLANTED }
    await writeFile(`${path}/${file}`, JSON.stringify(document))
  }
  await rm(`${path}/secrets`, { recursive: true })
  assert.equal((await inClear(PLANTED)).length, 2)
  await using master = await aMaster(oldKey)
  assert.deepEqual(await inClear(PLANTED), [])
  assert.deepEqual(await envOf(master), { PASSWORD: PLANTED })
})

test('a new key before the old one: what is stored is rewritten, and the old key is needed no more', async () => {
  {
    await using master = await aMaster(oldKey)
    await master.admin.call('registerApp', { body: { ...body, volume: { size: '16MiB' } } })
    await master.admin.call('updateApp', { params, body: { image: 'y' } })
  }
  {
    await using master = await aMaster(`${newKey},${oldKey}`)
    assert.deepEqual(await envOf(master), { PASSWORD: PLANTED })
  }
  await using master = await aMaster(newKey)
  assert.deepEqual(await envOf(master), { PASSWORD: PLANTED })
  assert.equal((await master.admin.call('listReleases', { params })).items.length, 2)
})

test('a master without the key of the store does not start, and says what it needs; nor does it make a key of its own', async () => {
  await using _one = await aMaster(oldKey)
  for (const keys of [undefined, newKey])
    await assert.rejects(aMaster(keys), error => {
      assert.ok(isFailure(error, 'secret-unreadable'))
      assert.match(
        `${error.message} ${error.details.hint}`,
        /encrypted with the key [0-9a-f]{16}; .*SHADOW_SECRETS_KEY/,
      )
      return true
    })
})

test('a document that cannot be decrypted is told of by its app and its key', async () => {
  await using master = await aMaster(oldKey)
  await master.admin.call('registerApp', { body })
  const file = `${path}/apps/blog.json`
  const document = JSON.parse(await readFile(file, 'utf8'))
  document.task.sealedEnv = document.task.sealedEnv.replace(/^v1\.[0-9a-f]+/, 'v1.0123456789abcdef')
  await writeFile(file, JSON.stringify(document))
  await assert.rejects(
    master.admin.call('getApp', { params }),
    error =>
      isFailure(error, 'secret-unreadable') &&
      /environment of blog, revision 1 cannot be decrypted: .*key 0123456789abcdef/.test(error.message),
  )
})

test('without the setting a key is made at the first start, for our user alone, and kept', async () => {
  const data = await mkdtemp(join(tmpdir(), 'shadow-test-secrets-data-'))
  try {
    for (let start = 0; start < 2; start++) {
      await using master = await testMaster(await directory({ path }), undefined, { SHADOW_DATA: data })
      if (start === 0) await master.admin.call('registerApp', { body: { ...body, volume: { size: '16MiB' } } })
      assert.deepEqual(await envOf(master), { PASSWORD: PLANTED })
      assert.equal((await stat(`${data}/secrets-key`)).mode & 0o777, 0o600)
    }
  } finally {
    await rm(data, { recursive: true, force: true })
  }
})
