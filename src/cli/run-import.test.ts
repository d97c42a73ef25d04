import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { zstdCompressSync } from 'node:zlib'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { sparseMap } from '../lib/sparse.ts'
import { shadow } from '../testing/cli.ts'
import type { Answers } from '../testing/fake-master.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { writeArchive } from './archive/write.ts'
import { run } from './run.ts'

const absent = (code: 'app-not-found' | 'not-found' | 'host-unknown') => () => {
  throw new ShadowError(code, 'it is not there')
}
const FREE: Answers = {
  getApp: absent('app-not-found'),
  getVolume: absent('not-found'),
  getHost: absent('host-unknown'),
}

async function archiveOf(definition: object): Promise<Buffer> {
  const sparse = Buffer.concat([sparseMap([[0, 4]], 4096), Buffer.from('data')])
  const bytes = Readable.from([sparse, createHash('sha256').update(sparse).digest()])
  const manifest = { format: 1, app: 'blog', exportedAt: '2026-01-01T00:00:00Z', secrets: null }
  const image = { length: sparse.length + 32, size: 4096, bytes }
  const parts = writeArchive({
    manifest,
    definition,
    values: { env: {}, secrets: {} },
    keys: undefined,
    image,
    at: new Date(0),
  })
  return zstdCompressSync(Buffer.concat(await Array.fromAsync(parts)))
}

async function importing(line: string, archive: Buffer, answers: Answers) {
  await using master = await fakeMaster(answers)
  const env = { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN }
  const terminal = new FakeTerminal({ env, stdin: Readable.from([archive]) })
  return { exit: await run(line.split(' '), terminal), terminal, calls: master.calls }
}
const DEFINITION = { name: 'blog', image: 'x', volume: { size: '1MiB', path: '/data' } }

test('an app that cannot be registered leaves no volume behind', async () => {
  const { exit, terminal, calls } = await importing('import', await archiveOf(DEFINITION), {
    ...FREE,
    importVolume: () => undefined,
    registerApp: () => {
      throw new ShadowError('domain-taken', 'another app has the domain')
    },
    removeVolume: () => undefined,
  })
  assert.equal(exit, 4)
  assert.match(terminal.stderr, /another app has the domain/)
  const names = calls.map(({ name }) => name)
  assert.deepEqual(names, ['getApp', 'getVolume', 'importVolume', 'registerApp', 'removeVolume'])
})

test('a volume of another driver goes to one that is named', async () => {
  const archive = await archiveOf({ ...DEFINITION, volume: { size: '1MiB', path: '/data', driver: 'ebs' } })
  const refused = await importing('import', archive, FREE)
  assert.deepEqual([refused.exit, refused.calls.some(({ name }) => name === 'importVolume')], [2, false])
  assert.match(refused.terminal.stderr, /driver ebs.*\n.*--volume-driver loop/)
  const { exit, terminal, calls } = await importing('import --volume-driver pool --node n2 --as other', archive, {
    ...FREE,
    importVolume: () => undefined,
    registerApp: ({ body }) => ({ ...(body as object), domains: ['other.localhost'], task: { env: {} } }),
  })
  assert.equal(exit, 0, terminal.stderr)
  const [imported, registered] = calls.slice(2)
  assert.deepEqual(imported?.params, { volume: 'other' })
  assert.deepEqual(imported?.query, { volume: '1MiB', driver: 'pool', size: '4096', bytes: '516', node: 'n2' })
  const { name, volume } = (registered?.body ?? {}) as Record<string, unknown>
  assert.deepEqual([name, volume], ['other', { size: '1MiB', path: '/data', driver: 'pool' }])
})

test('an import without an archive says how to give one', async () => {
  const { exit, terminal } = await shadow('import')
  assert.equal(exit, 2)
  assert.match(terminal.stderr, /shadow import < blog\.tar\.zst/)
})
