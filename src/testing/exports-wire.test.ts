import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, test } from 'vitest'
import { run } from '../cli/run.ts'
import { isFailure } from '../lib/errors.ts'
import { listen } from '../lib/http/api/request-handler.ts'
import { noLog } from '../lib/log.ts'
import { readSettings } from '../lib/settings.ts'
import { directory } from '../master/storage/directory.ts'
import type { VolumeId } from '../model/names.ts'
import { nodeproxySettings } from '../nodeproxy/config.ts'
import { type Nodeproxy, startNodeproxy } from '../nodeproxy/main.ts'
import { HandClock } from './clock.ts'
import { FakeLogs } from './fake-logs.ts'
import { FakeRuntime } from './fake-runtime.ts'
import { FakeTerminal } from './fake-terminal.ts'
import { FileVolumes } from './file-volumes.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from './masters.ts'
import { inTests } from './workers.ts'

const MIB = 2 ** 20
const PASSPHRASE = 'correct horse battery'
const clock = new HandClock()

/** A master with one node. */
type Shadow = AsyncDisposable & {
  readonly on: TestMaster
  readonly node: Nodeproxy
  readonly volumes: FileVolumes
  readonly folder: string
  readonly token: string
}

async function start(path: string, name: string): Promise<Shadow> {
  const on = await testMaster(await directory({ path: join(path, name, 'store') }), clock, {
    SHADOW_SECRETS_KEY: TEST_SECRETS_KEY,
    SHADOW_APPS_DOMAIN: `${name}.localhost`,
  })
  const data = join(path, name, 'node')
  const runtime = new FakeRuntime()
  runtime.ip = '127.0.0.1'
  const folder = join(data, 'volumes')
  const volumes = new FileVolumes(folder)
  const { token } = await on.admin.call('createToken', { body: { name, role: 'node' } })
  const flags = { listen: '0', name, data, master: on.master.url, token, workers: inTests.workers }
  const drivers = { runtime, volumes: volumes.drivers, filesystem: volumes, logs: new FakeLogs() }
  const node = await startNodeproxy(readSettings(nodeproxySettings, {}, flags), { clock, log: noLog, drivers })
  for (let n = 0; n < 1_000; n++) {
    if ((await on.admin.call('listNodes', {})).items.some(({ state }) => state === 'healthy')) break
    await clock.advance(1_000)
  }
  return {
    on,
    node,
    volumes,
    folder,
    token: await on.master.token('admin'),
    async [Symbol.asyncDispose]() {
      await node.stop({ sleep: false })
      await on[Symbol.asyncDispose]()
    },
  }
}

type Line = {
  stdin?: AsyncIterable<Uint8Array>
  answers?: string[]
  env?: Record<string, string>
  outIsTerminal?: boolean
}
async function shadow(at: Shadow, line: string, { env = {}, ...more }: Line = {}) {
  const all = { SHADOW_URL: at.on.master.url, SHADOW_TOKEN: at.token, ...env }
  const terminal = new FakeTerminal({ env: all, now: clock.wall(), ...more })
  const exit = await run(line.split(' '), terminal)
  return { exit, terminal, archive: Buffer.concat(terminal.bytes) }
}
const withPassphrase = { env: { SHADOW_PASSPHRASE: PASSPHRASE } }
const importing = (archive: Buffer, line = 'import', env: Record<string, string> = withPassphrase.env) =>
  shadow(there, line, { stdin: Readable.from(inPieces(archive)), env })
function* inPieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000)
}

let path: string
let here: Shadow
let there: Shadow
let app: Awaited<ReturnType<typeof listen>>
let data: Buffer
beforeAll(async () => {
  app = await listen(
    createServer((_, response) => void response.end('hello')),
    { host: '127.0.0.1', port: 0 },
  )
})
afterAll(() => app[Symbol.asyncDispose]())
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-exports-'))
  here = await start(path, 'here')
  there = await start(path, 'there')
})
afterEach(async () => {
  await here[Symbol.asyncDispose]()
  await there[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const ENV = { SECRET: 'the secret value', EMPTY: '' }
async function register(name: string, more: object = {}) {
  await here.on.admin.call('registerApp', {
    body: { name, image: 'x', port: app.port, env: ENV, volume: { size: '16MiB' }, ...more },
  })
  await here.on.admin.call('wakeApp', { params: { app: name } })
  const file = here.volumes.file(name as VolumeId)
  await using image = await open(file, 'r+')
  await image.truncate(16 * MIB)
  await image.write('begin', 0)
  await image.write('the middle', 9 * MIB - 5)
  await image.write('end', 16 * MIB - 3)
  data = await readFile(file)
}
const exported = async (name = 'blog', line: Line = withPassphrase): Promise<Buffer> => {
  const { exit, terminal, archive } = await shadow(here, `export ${name}`, line)
  assert.equal(exit, 0, terminal.stderr)
  return archive
}
const dataOf = (at: Shadow, name = 'blog') => readFile(at.volumes.file(name as VolumeId))
/** An import for which no disk has room. */
const tooLarge = (volume: string) => {
  const query = { volume: '16MiB', size: 16 * MIB, bytes: Number.MAX_SAFE_INTEGER } as const
  return there.on.admin.raw('importVolume', { params: { volume }, query, content: Readable.from([Buffer.alloc(100)]) })
}
const nothingIsThere = async (name = 'blog'): Promise<void> => {
  await assert.rejects(there.on.admin.call('getApp', { params: { app: name } }), error =>
    isFailure(error, 'app-not-found'),
  )
  await assert.rejects(there.on.admin.call('getVolume', { params: { volume: name } }), error =>
    isFailure(error, 'not-found'),
  )
  // The node finds out that its caller has left; the next import of the name has its turn afterwards.
  await assert.rejects(tooLarge(name), error => isFailure(error, 'disk-full'))
  const left = () => readdir(join(there.folder, name)).catch(() => [])
  for (let n = 0; n < 100_000 && (await left()).length > 0; n++) await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(await left(), [])
}

test('an app goes to another Shadow with its definition, secrets and data', async () => {
  await register('blog', { limits: { memory: '64MiB' }, ready: { kind: 'port' }, access: { rate: '10/s' } })
  const archive = await exported()
  assert.ok(!zstdDecompressSync(archive).includes('the secret value'))
  assert.ok(archive.length < 100_000)
  assert.deepEqual(
    await readdir(join(here.folder, 'blog')).then(names => names.filter(name => name.startsWith('exporting'))),
    [],
  )

  const { exit, terminal } = await importing(archive)
  assert.equal(exit, 0, terminal.stderr)
  assert.match(terminal.stdout, /blog\.there\.localhost/)
  const [before, after] = await Promise.all(
    [here, there].map(at => at.on.admin.call('getApp', { params: { app: 'blog' } })),
  )
  const made = { createdAt: '', pinned: 0, made: undefined }
  assert.deepEqual({ ...after?.task, ...made }, { ...before?.task, ...made })
  assert.deepEqual(after?.access, before?.access)
  assert.deepEqual(after?.task.env, ENV)
  assert.deepEqual(after?.domains, ['blog.there.localhost'], 'the usual domain is that of the place')
  assert.ok((await dataOf(there)).equals(data))
  assert.ok((await stat(there.volumes.file('blog' as VolumeId))).blocks * 512 < 2 * MIB, 'holes are holes')
  const woken = await there.on.admin.call('wakeApp', { params: { app: 'blog' } })
  assert.deepEqual([woken.phase, woken.node], ['awake', 'there'])
  assert.ok((await dataOf(there)).equals(data), 'no empty volume was made')
  assert.deepEqual([here.volumes.wrongs, there.volumes.wrongs], [[], []])
})

test('an export leaves the app asleep for no longer than its copy needs, and the app wakes again', async () => {
  await register('blog')
  await exported()
  const woken = await here.on.admin.call('wakeApp', { params: { app: 'blog' } })
  assert.equal(woken.phase, 'awake')
  assert.ok((await dataOf(here)).equals(data))
})

test('GNU tar unpacks the archive, with the image as a sparse file', async () => {
  await register('blog', { env: {} })
  const archive = await exported('blog', {})
  const folder = join(path, 'unpacked')
  await mkdir(folder)
  await writeFile(join(path, 'archive.tar'), zstdDecompressSync(archive))
  const listed = execFileSync('tar', ['-tf', join(path, 'archive.tar')], { encoding: 'utf8' })
  assert.deepEqual(listed.trim().split('\n'), ['shadow.json', 'app.json', 'volume/image.ext4', 'checksums.json'])
  execFileSync('tar', ['-xf', join(path, 'archive.tar'), '-C', folder])
  assert.ok((await readFile(join(folder, 'volume/image.ext4'))).equals(data))
  assert.ok((await stat(join(folder, 'volume/image.ext4'))).blocks * 512 < 2 * MIB)
})

test('an app gets another name and other domains, also beside the old one', async () => {
  await register('blog', { domains: ['blog.example.com'] })
  const archive = await exported()
  there = await swapped()
  const taken = await importing(archive)
  assert.match(taken.terminal.stderr, /an app is called blog already/)
  const domain = await importing(archive, 'import --as blog2')
  assert.match(domain.terminal.stderr, /another app has the domain blog\.example\.com/)
  const done = await importing(archive, 'import --as blog2 --domain two.example.com')
  assert.equal(done.exit, 0, done.terminal.stderr)
  const copy = await there.on.admin.call('getApp', { params: { app: 'blog2' } })
  assert.deepEqual([copy.domains, copy.task.volume?.id, copy.task.env], [['two.example.com'], 'blog2', ENV])
  assert.ok((await dataOf(there, 'blog2')).equals(data))
})

/** The place of the export is that of the import too. */
async function swapped(): Promise<Shadow> {
  await there[Symbol.asyncDispose]()
  return { ...here, [Symbol.asyncDispose]: async () => undefined }
}

test('an app without data, and one without a volume, are imported too', async () => {
  await here.on.admin.call('registerApp', { body: { name: 'empty', image: 'x', volume: { size: '16MiB' } } })
  await here.on.admin.call('registerApp', { body: { name: 'plain', image: 'x', env: ENV } })
  for (const name of ['empty', 'plain']) {
    const { exit, terminal } = await importing(await exported(name))
    assert.equal(exit, 0, terminal.stderr)
    const made = await there.on.admin.call('getApp', { params: { app: name } })
    assert.deepEqual([made.task.volume?.size, made.task.env], name === 'empty' ? ['16MiB', {}] : [undefined, ENV])
  }
})

test('the passphrase is typed twice, and never shown; without anybody to type it nothing is exported', async () => {
  await register('blog')
  const typed = await shadow(here, 'export blog', { answers: [PASSPHRASE, PASSPHRASE] })
  assert.equal(typed.exit, 0)
  assert.ok(!`${typed.terminal.stderr}${typed.terminal.stdout}`.includes(PASSPHRASE))
  for (const [line, wanted] of [
    [{ answers: [PASSPHRASE, 'another one'] }, /differ/],
    [{ answers: ['short'] }, /at least 8/],
    [{}, /nobody is here/],
    [{ ...withPassphrase, outIsTerminal: true }, /not for a terminal/],
  ] as const) {
    const { exit, terminal, archive } = await shadow(here, 'export blog', line as Line)
    assert.deepEqual([exit, archive.length], [2, 0])
    assert.match(terminal.stderr, wanted)
  }
  await writeFile(join(path, 'passphrase'), `${PASSPHRASE}\n`)
  assert.equal((await importing(typed.archive, `import --passphrase-file ${join(path, 'passphrase')}`, {})).exit, 0)
})

describe('nothing is left of an import', { timeout: 90_000 }, () => {
  let archive: Buffer
  let tar: Buffer
  beforeEach(async () => {
    await register('blog')
    archive = await exported()
    tar = zstdDecompressSync(archive)
  })
  const refused = async (bytes: Buffer, wanted: RegExp, env?: Record<string, string>): Promise<void> => {
    const { exit, terminal } = await importing(bytes, 'import', env)
    assert.notEqual(exit, 0)
    assert.match(terminal.stderr, wanted)
    await nothingIsThere()
  }

  test('with another passphrase, or what is no archive', async () => {
    await refused(archive, /the passphrase is another one/, { SHADOW_PASSPHRASE: 'wrong horse battery' })
    await refused(Buffer.from('this is a text'), /no archive/)
    await refused(Buffer.alloc(0), /no archive|ends before/)
    await refused(zstdCompressSync(Buffer.from('this is a text')), /no archive|ends before/)
  })

  test('that ends too early, wherever that is', async () => {
    for (const part of [0.3, 0.6, 0.9])
      await refused(archive.subarray(0, Math.floor(part * archive.length)), /ends before its last byte/)
    for (const end of [tar.length - 512, tar.length - 1024, tar.length - 3000, 2000])
      await refused(zstdCompressSync(tar.subarray(0, end)), /ends before its last byte|missing/)
  })

  test('that was changed, wherever that is', async () => {
    const changedAt = (at: number): Buffer => {
      const changed = Buffer.from(tar)
      changed[at] = (changed[at] ?? 0) ^ 1
      return zstdCompressSync(changed)
    }
    const find = (text: string) => {
      const at = tar.indexOf(text)
      assert.ok(at > 0, `${text} is in the archive`)
      return at
    }
    for (const at of [
      find('"format"'),
      find('"image"') + 2,
      find('secrets.enc') + 520,
      find('the middle'),
      find('"sha256"') + 40,
      find('"hmac"') + 12,
    ])
      await refused(changedAt(at), /changed|no archive|damaged/)
    const broken = Buffer.from(archive)
    broken.fill(0xff, 600, 620)
    await refused(broken, /changed|cannot be decompressed/)
    await refused(zstdCompressSync(Buffer.concat([tar, Buffer.alloc(512, 1)])), /goes on after its end/)
  })

  test('of a later format', async () => {
    const later = Buffer.from(tar)
    later.write('9', tar.indexOf('"format": 1') + 10)
    await refused(zstdCompressSync(later), /format 9/)
  })

  test('whose bytes stop to come', async () => {
    const bytes = async function* (): AsyncGenerator<Buffer> {
      yield archive.subarray(0, Math.floor(archive.length / 2))
      throw new Error('the pipe is broken')
    }
    const { exit, terminal } = await shadow(there, 'import', { stdin: bytes(), ...withPassphrase })
    assert.notEqual(exit, 0)
    assert.match(terminal.stderr, /pipe is broken/)
    await nothingIsThere()
  })

  test('to a node that has no room for it', async () => {
    await assert.rejects(tooLarge('blog'), error => isFailure(error, 'disk-full'))
    await nothingIsThere()
  })
})

test('a volume of the name that has no app is not replaced', async () => {
  await register('blog')
  const archive = await exported()
  await there.on.admin.call('registerApp', {
    body: { name: 'blog', image: 'x', port: app.port, volume: { size: '16MiB' } },
  })
  await there.on.admin.call('wakeApp', { params: { app: 'blog' } })
  await there.on.admin.call('removeApp', { params: { app: 'blog' } })
  const kept = await dataOf(there)
  const { exit, terminal } = await importing(archive)
  assert.equal(exit, 4)
  assert.match(terminal.stderr, /a volume is called blog already/)
  assert.ok((await dataOf(there)).equals(kept))
})
