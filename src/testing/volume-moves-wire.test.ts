import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { isFailure, ShadowError } from '../lib/errors.ts'
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
import { FileVolumes } from './file-volumes.ts'
import { type TestMaster, testMaster } from './masters.ts'
import { inTests } from './workers.ts'

type Machine = { readonly node: Nodeproxy; readonly volumes: FileVolumes }

const ID = 'blog' as VolumeId
const DATA = Buffer.concat([Buffer.from('begin'), Buffer.alloc(2_000_000), Buffer.alloc(3_000_000, 'data')])
const clock = new HandClock()

let path: string
let on: TestMaster
let app: Awaited<ReturnType<typeof listen>>
let a: Machine
let b: Machine

async function machine(name: string): Promise<Machine> {
  const data = join(path, name)
  const runtime = new FakeRuntime()
  runtime.ip = '127.0.0.1'
  const volumes = new FileVolumes(join(data, 'volumes'))
  const { token } = await on.admin.call('createToken', { body: { name, role: 'node' } })
  const flags = { listen: '0', name, data, master: on.master.url, token, workers: inTests.workers }
  const config = readSettings(nodeproxySettings, {}, flags)
  const drivers = { runtime, volumes: volumes.drivers, filesystem: volumes, logs: new FakeLogs() }
  const node = await startNodeproxy(config, { clock, log: noLog, drivers })
  return { node, volumes }
}

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-moves-wire-'))
  on = await testMaster(await directory({ path: join(path, 'store') }), clock)
  app = await listen(
    createServer((_, response) => void response.end('hello')),
    { host: '127.0.0.1', port: 0 },
  )
  await on.admin.call('registerApp', { body: { name: 'blog', image: 'x', port: app.port, volume: { size: '16MiB' } } })
  a = await machine('a')
  await healthy('a')
  await on.admin.call('wakeApp', { params: { app: 'blog' } })
  await writeFile(a.volumes.file(ID), DATA)
  b = await machine('b')
  await healthy('b')
})
afterEach(async () => {
  for (const { node } of [a, b]) await node.stop({ sleep: false })
  await app[Symbol.asyncDispose]()
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

async function healthy(name: string): Promise<void> {
  for (let n = 0; n < 1_000; n++) {
    const { items } = await on.admin.call('listNodes', {})
    if (items.some(node => node.name === name && node.state === 'healthy')) return
    await clock.advance(1_000)
  }
  assert.fail(`${name} is not healthy`)
}

const move = (to: string) =>
  on.admin.call('moveApp', { params: { app: 'blog' }, body: { to }, signal: new AbortController().signal })
/** Lets the old node find out that the stream is closed. */
async function beat(): Promise<void> {
  await clock.advance(100)
  await new Promise(resolve => setImmediate(resolve))
}
const holder = async () => (await on.admin.call('getVolume', { params: { volume: 'blog' } })).lease?.node

test('an awake app sleeps, moves over the wire with all its data, and wakes at the new node', async () => {
  const moved = await move('b')
  assert.deepEqual([moved.moved, moved.from, moved.to, await holder()], [true, 'a', 'b', 'b'])
  assert.ok((await readFile(b.volumes.file(ID))).equals(DATA))
  const woken = await on.admin.call('wakeApp', { params: { app: 'blog' } })
  assert.deepEqual([woken.node, woken.phase], ['b', 'awake'])
  assert.ok((await readFile(b.volumes.file(ID))).equals(DATA), 'no empty volume was made')
  for (let n = 0; n < 100 && (await a.volumes.has(ID)); n++) await beat()
  assert.equal(await a.volumes.has(ID), false)
  assert.deepEqual([a.volumes.wrongs, b.volumes.wrongs], [[], []])
})

test('an app that cannot be put to sleep stays where it is, and so does one whose new node has no node proxy any more', async () => {
  a.volumes.failures.set('unmount', new ShadowError('volume-in-use', 'something uses it'))
  await assert.rejects(move('b'), error => isFailure(error, 'app-stuck'))
  a.volumes.failures.clear()
  assert.equal(await holder(), 'a')
  await b.node.stop({ sleep: false })
  await assert.rejects(move('b'), error => isFailure(error, 'node-unreachable'))
  const woken = await on.admin.call('wakeApp', { params: { app: 'blog' } })
  assert.deepEqual([woken.node, woken.phase], ['a', 'awake'])
  assert.ok((await readFile(a.volumes.file(ID))).equals(DATA))
  assert.equal(await b.volumes.has(ID), false)
})
