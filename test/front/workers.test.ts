import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'vitest'
import { SOCKETS } from '../../src/lib/http/listening.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX } from '../tools/environment.ts'
import { installed } from '../tools/installed.ts'
import { Shadow } from '../tools/shadow.ts'
import { Visitor } from '../tools/visitor.ts'

const env = { SHADOW_WORKERS: '2' }

/** The number of threads that listen on this port, according to the kernel. */
async function listeners(port: number): Promise<number> {
  const local = ` 0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A `
  return ((await readFile('/proc/net/tcp', 'utf8')).split(local).length - 1) / SOCKETS
}

test('two workers serve an app: it wakes once, sleeps at its time, and its volume is kept', async () => {
  await using shadow = await Shadow.start({ env })
  assert.equal(await listeners(shadow.port), 2)
  await shadow.register('blog', { volume: { size: '16MiB' }, sleep: { idleAfter: '30s' } })
  const [first] = await Promise.all(Array.from({ length: 16 }, () => shadow.ask('blog')))
  assert.equal(first?.status, 200)
  assert.match(String(first?.headers['server-timing']), /wake;dur=/)
  assert.equal((await shadow.containers('blog')).length, 1)
  assert.equal((await shadow.ask('blog', '/files/note', { method: 'PUT', body: 'kept' })).status, 200)
  const answers = await Promise.all(Array.from({ length: 200 }, () => shadow.ask('blog', '/files/note')))
  assert.deepEqual([...new Set(answers.map(({ status, text }) => `${status} ${text}`))], ['200 kept'])

  const view = await shadow.until('blog', ({ sleepsAt }) => sleepsAt !== null)
  assert.deepEqual([view.holds, view.waiting], [[], 0])
  await shadow.pass(Date.parse(view.sleepsAt ?? '') - shadow.clock.now())
  assert.equal((await shadow.until('blog', 'asleep')).stoppedBy, 'idle')
  assert.deepEqual([await shadow.containers('blog'), await shadow.mountsAndDevices()], [[], []])
  assert.equal((await shadow.ask('blog', '/files/note')).text, 'kept')
})

test('what a worker has in flight keeps the app awake, is told by name, and is waited for by a stop', async () => {
  await using shadow = await Shadow.start({ env })
  await shadow.register('blog', { volume: { size: '16MiB' }, sleep: { idleAfter: '20s' } })
  await shadow.ask('blog')
  const upload = shadow.begin('blog', '/files/long', { method: 'PUT' })
  upload.request.write('begun, ')
  const socket = await shadow.webSocket('blog')
  const { holds } = await shadow.until('blog', view => view.holds.length === 2)
  assert.deepEqual(holds.map(({ kind }) => kind).sort(), ['request', 'websocket'])
  assert.ok(holds.some(({ what }) => what.startsWith('PUT /files/long from 127.0.0.1')))
  await shadow.pass(60_000)
  assert.equal((await shadow.instance('blog')).phase, 'awake')
  socket.terminate()
  const asleep = shadow.sleep('blog')
  await shadow.until('blog', 'stopping')
  await wait(300)
  assert.equal((await shadow.containers('blog')).length, 1)
  upload.request.end('ended')
  assert.equal((await upload.response).statusCode, 200)
  assert.equal((await asleep).phase, 'asleep')
  assert.equal((await shadow.ask('blog', '/files/long')).text, 'begun, ended')
})

test('a new revision is served by all workers from its first request on', async () => {
  await using shadow = await Shadow.start({ env })
  await shadow.register('blog', { env: { MARK: 'one' } })
  await Promise.all(Array.from({ length: 16 }, () => shadow.ask('blog')))
  await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { env: { MARK: 'two' } } })
  await shadow.until('blog', ({ revision }) => revision === 2)
  const answers = await Promise.all(Array.from({ length: 32 }, () => shadow.ask('blog', '/env')))
  assert.deepEqual([...new Set(answers.map(({ status, json }) => `${status} ${json.MARK}`))], ['200 two'])
  await shadow.eventually(async () => (await shadow.containers('blog')).length === 1)
})

test('the built one starts its workers from files of their own, and ends with them', async () => {
  await using built = await installed()
  await using started = new AsyncDisposableStack()
  const data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
  started.defer(() => rm(data, { recursive: true }))
  const settings = { SHADOW_NODE_NAME: `${TEST_NODE_PREFIX}built`, SHADOW_MASTER_LISTEN: '127.0.0.1:0' }
  const child = spawn(built.shadow, ['up', '--json', '--data', data, '--listen', '127.0.0.1:0'], {
    env: { ...process.env, ...env, ...settings, SHADOW_NODE_LISTEN: '127.0.0.1:0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk
  })
  const exited = once(child, 'exit')
  started.defer(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const [line] = await Promise.race([once(child.stdout.setEncoding('utf8'), 'data'), exited.then(() => ['{}'])])
  const { front } = JSON.parse(String(line))
  assert.ok(front, said)
  const visitor = new Visitor(() => Number(new URL(front).port))
  assert.equal(await listeners(visitor.port), 2)
  const answers = await Promise.all(Array.from({ length: 20 }, () => visitor.ask('nobody')))
  assert.deepEqual([...new Set(answers.map(({ headers }) => headers['x-shadow-error']))], ['host-unknown'])
  child.kill('SIGTERM')
  assert.deepEqual(await exited, [0, null], said)
})
