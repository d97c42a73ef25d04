import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, test } from 'vitest'
import { run } from '../cli/run.ts'
import { isFailure } from '../lib/errors.ts'
import { directory } from '../master/storage/directory.ts'
import { HandClock } from './clock.ts'
import { FakeTerminal } from './fake-terminal.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from './masters.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-exported-'))
const SOURCE = randomBytes(300_000)
const DIGEST = createHash('sha256').update(SOURCE).digest('hex')
const env = { KEY: 'the secret value' }
let here: TestMaster
let there: TestMaster
beforeAll(async () => {
  ;[here, there] = await Promise.all([master('here'), master('there')])
  await here.admin.raw('putBlob', { params: { digest: DIGEST }, content: Readable.from([SOURCE]) })
  const source = { digest: DIGEST }
  for (const name of ['blog', 'shop'])
    await here.admin.call('registerApp', { body: { name, image: 'node', source, env, secrets: { TOKEN: 'kept' } } })
  const built = 'master.shadow/page:0123456789ab'
  await here.admin.call('registerApp', { body: { name: 'page', image: built, source } })
})
afterAll(async () => {
  await here[Symbol.asyncDispose]()
  await there[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

async function master(name: string): Promise<TestMaster> {
  const at = join(path, name)
  const settings = { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_STORAGE: `directory:${at}` }
  return testMaster(await directory({ path: at }), new HandClock(), settings)
}

async function shadow(on: TestMaster, line: string, stdin?: Buffer) {
  const token = await on.master.token('admin')
  const variables = { SHADOW_URL: on.master.url, SHADOW_TOKEN: token, SHADOW_PASSPHRASE: 'correct horse battery' }
  const pieces =
    stdin &&
    Array.from({ length: Math.ceil(stdin.length / 10_000) }, (_, n) => stdin.subarray(n * 10_000, (n + 1) * 10_000))
  const terminal = new FakeTerminal({ env: variables, ...(pieces && { stdin: Readable.from(pieces) }) })
  const exit = await run(line.split(' '), terminal)
  return { exit, err: terminal.stderr, archive: Buffer.concat(terminal.bytes) }
}

const exported = async (app: string): Promise<Buffer> => {
  const { exit, err, archive } = await shadow(here, `export ${app}`)
  assert.equal(exit, 0, err)
  return archive
}
const sourceThere = async (): Promise<Buffer> =>
  buffer((await there.admin.raw('getBlob', { params: { digest: DIGEST } })).body)
const hasApp = async (app: string): Promise<boolean> =>
  there.admin.call('getApp', { params: { app } }).then(
    () => true,
    () => false,
  )

test('an archive whose source is another one brings nothing', async () => {
  const tar = zstdDecompressSync(await exported('blog'))
  const at = tar.indexOf(SOURCE.subarray(0, 100))
  assert.ok(at > 0)
  tar[at + 50_000] = (tar[at + 50_000] ?? 0) ^ 1
  const { exit, err } = await shadow(there, 'import', zstdCompressSync(tar))
  assert.equal(exit, 2)
  assert.match(err, /its source is not the one of its definition; nothing was changed/)
  assert.equal(await hasApp('blog'), false)
  await assert.rejects(sourceThere(), error => isFailure(error, 'not-found'))
})

test('an archive that ends in its source brings nothing', async () => {
  const tar = zstdDecompressSync(await exported('blog'))
  const half = tar.subarray(0, tar.indexOf(SOURCE.subarray(0, 100)) + 100_000)
  const { exit, err } = await shadow(there, 'import', zstdCompressSync(half))
  assert.notEqual(exit, 0)
  assert.match(err, /ends before its last byte/)
  assert.equal(await hasApp('blog'), false)
})

test('an app that runs a source is exported with it, and imported where the source was never', async () => {
  const { exit, err } = await shadow(there, 'import', await exported('blog'))
  assert.equal(exit, 0, err)
  assert.ok((await sourceThere()).equals(SOURCE))
  const { task } = await there.admin.call('getApp', { params: { app: 'blog' } })
  assert.deepEqual([task.source, task.env], [{ digest: DIGEST }, env])
  const { items } = await there.admin.call('listSecrets', { params: { app: 'blog' } })
  assert.deepEqual(
    items.map(({ name }) => name),
    ['TOKEN'],
  )
  // The bytes need not be read where they are already, and the rest of the archive is.
  assert.equal((await shadow(there, 'import', await exported('shop'))).exit, 0)
})

test('an image that was built by Shadow is not in the archive, and export and import say so', async () => {
  const { exit, err, archive } = await shadow(here, 'export page')
  assert.equal(exit, 0)
  const says =
    /its image master\.shadow\/page:0123456789ab is not in the archive; after the import, deploy its folder there: shadow deploy --app page\n/
  assert.match(err, /page is exported, with 293KiB of its source\n/)
  assert.match(err, says)
  const imported = await shadow(there, 'import', archive)
  assert.equal(imported.exit, 0, imported.err)
  assert.match(imported.err, says)
})
