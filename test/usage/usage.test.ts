import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX } from '../tools/environment.ts'
import { removeNetworkOf } from '../tools/network.ts'
import type { Input } from '../tools/node-that-dies.ts'
import { containersOf, register, Shadow, until } from '../tools/shadow.ts'
import { Visitor } from '../tools/visitor.ts'

const run = promisify(execFile)
const PROGRAM = join(import.meta.dirname, '../tools/up-that-dies.ts')
const name = `${TEST_NODE_PREFIX}use-${randomBytes(3).toString('hex')}`
let data: string

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
})
afterAll(async () => {
  const left = await containersOf(name)
  if (left.length > 0) await run('docker', ['rm', '-f', ...left])
  await removeNetworkOf(name)
  await rm(data, { recursive: true, force: true })
})

type Up = AsyncDisposable & {
  readonly child: ChildProcess
  readonly visitor: Visitor
  readonly admin: MasterClient
  kill(): Promise<void>
}

/** Master, node and front in one process; requests are served by two threads of it. */
async function start(): Promise<Up> {
  const settings = {
    ...{ data, SHADOW_NODE_NAME: name, SHADOW_WORKERS: '2' },
    ...{ SHADOW_MASTER_LISTEN: '127.0.0.1:0', SHADOW_NODE_LISTEN: '127.0.0.1:0' },
  }
  const input: Input = { settings }
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(input)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string]
  const { front, master, token } = JSON.parse(line)
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }
  return {
    child,
    visitor: new Visitor(() => Number(new URL(front).port)),
    admin: masterClient({ url: master, token, withinMs: 30_000 }),
    kill: () => end('SIGKILL'),
    [Symbol.asyncDispose]: () => end('SIGTERM'),
  }
}

const usageOf = async ({ admin }: { admin: MasterClient }, app: string) =>
  (await admin.call('getUsage', { query: { app } })).items[0]

/** Sends so many requests, some of them at a time. */
async function ask({ visitor }: Up, app: string, count: number): Promise<void> {
  let left = count
  const one = async (): Promise<void> => {
    while (left-- > 0) assert.equal((await visitor.ask(app, '/status?code=200')).status, 200)
  }
  await Promise.all([1, 2, 3, 4, 5, 6].map(one))
}

/** When Docker has started the container of an app, and what the kernel has counted of it. */
async function countedBy(app: string): Promise<{ id: string; startedAt: number; sent: number }> {
  const [id = ''] = await containersOf(name, app)
  const { stdout } = await run('docker', ['inspect', '--format', '{{.State.StartedAt}} {{.State.Pid}}', id])
  const [at = '', pid] = stdout.trim().split(' ')
  const dev = await readFile(`/proc/${pid}/net/dev`, 'utf8')
  return { id, startedAt: Date.parse(at), sent: Number(/eth0:\s*(?:\d+\s+){8}(\d+)/.exec(dev)?.[1]) }
}

/** The bytes of a container at the last reading that is on the disk. What it sends after its last reading is lost with it. */
async function settledBytes(id: string): Promise<number> {
  const written = await readFile(join(data, 'usage/ledger.ndjson'), 'utf8')
  const whole = written.split('\n').slice(0, -1)
  const readings = whole.flatMap(line => JSON.parse(line).runs?.[id]?.sentBytes ?? [])
  return readings.at(-1) ?? 0
}

test('requests, time and bytes are counted over a kill -9: what was settled is there, nothing twice, and the run goes on', async () => {
  let asked = 0
  const sent = async (up: Up, count: number): Promise<void> => {
    await ask(up, 'blog', count)
    asked += count
  }
  {
    await using up = await start()
    for (const app of ['blog', 'calm'])
      await register(up.admin, app, { sleep: { idleAfter: 'never' }, volume: undefined })
    await sent(up, 300)
    await wait(3_000) // what is counted is written within a second
    await up.kill()
  }
  const whileDead = await countedBy('blog')
  await wait(2_000)
  {
    await using up = await start()
    await sent(up, 200)
    await wait(3_000)
    await up.kill()
  }
  await using up = await start()
  await sent(up, 100)
  await ask(up, 'calm', 5)
  const before = await countedBy('blog')
  assert.equal(before.startedAt, whileDead.startedAt, 'one run outlives both kills')
  const { items } = await up.admin.call('getTimeline', { params: { app: 'blog' } })
  const kinds = items.map(({ kind, by }) => (kind === 'wake' ? by?.split(' ', 2).join(' ') : kind))
  assert.deepEqual(kinds, ['GET /status', 'deploy'], 'its wake is known over both kills')
  const series = await up.admin.call('getSeries', { params: { app: 'blog' } })
  assert.ok(
    series.requests.some(count => (count ?? 0) >= 100) && series.p95Ms.some(ms => ms !== null),
    'of all threads',
  )
  await until(async () => (await settledBytes(before.id)) >= before.sent || undefined)
  const slept = Date.now()
  await up.admin.call('sleepApp', { params: { app: 'blog' } })
  const after = Date.now()
  const least = (slept - before.startedAt) / 1_000
  const most = (after - before.startedAt) / 1_000
  const used = await until(async () => {
    const now = await usageOf(up, 'blog')
    // It is reported soon after the sleep. A slow machine may have had time for a report before it, with all of the requests.
    const isWhole = now && now.requests >= asked && now.awakeSeconds > least - 2 && now.egressBytes >= before.sent
    return isWhole ? now : undefined
  })
  assert.equal(used.requests, asked)
  assert.ok(used.awakeSeconds < most + 0.5, `${used.awakeSeconds}: ${least}–${most}`)
  assert.ok(used.egressBytes >= before.sent && used.egressBytes < before.sent + 65_536, `${used.egressBytes}`)
  assert.ok(used.cpuSeconds > 0.05 && used.cpuSeconds < 2 * most, `${used.cpuSeconds}`)
  assert.ok(Math.abs(used.memoryGiBSeconds / used.awakeSeconds - 0.5) < 1e-6, 'it reserves 512MiB')
  assert.ok((used.alwaysOn?.awakeSeconds ?? 0) >= used.awakeSeconds)
  // What has not slept is reported each minute, and at the end.
  await up[Symbol.asyncDispose]()
  await using again = await start()
  assert.equal((await usageOf(again, 'calm'))?.requests, 5)
  const whole = await usageOf(again, 'blog')
  assert.equal(whole?.requests, asked)
  assert.ok(whole.awakeSeconds < most + 0.5, `${whole.awakeSeconds}: ${least}–${most}`)
  await again.admin.call('sleepApp', { params: { app: 'calm' } })
})

test('several wakes and sleeps add up, and an asleep app counts for its volume alone', async () => {
  await using shadow = await Shadow.start()
  // Usage is told by month, and hours pass below: by the calendar they must not come into the next one.
  const { month } = await shadow.admin.call('getUsage', { query: {} })
  const next = new Date(`${month}-01T00:00:00Z`)
  next.setUTCMonth(next.getUTCMonth() + 1)
  if (next.getTime() - shadow.clock.wall() < 4 * 3_600_000) shadow.clock.setWall(4 * 3_600_000)
  await shadow.register('notes', { volume: { size: '64MiB' }, sleep: { idleAfter: '5m' } })
  let leastMs = 0
  for (let wakes = 1; wakes <= 3; wakes++) {
    assert.equal((await shadow.ask('notes', '/files/a', { method: 'PUT', body: 'x'.repeat(10_000) })).status, 200)
    const from = shadow.clock.now()
    await shadow.pass(20_000)
    leastMs += shadow.clock.now() - from
    await shadow.sleep('notes')
  }
  // It sleeps. Once all three runs are in it, what stays the same over some reports is all of it.
  let told: number[] = []
  const used = await until(async () => {
    shadow.clock.leap(61_000)
    await shadow.spoken()
    const now = await usageOf(shadow, 'notes')
    if (now === undefined || now.requests !== 3 || now.awakeSeconds * 1_000 < leastMs) return undefined
    told = [...told, now.awakeSeconds].slice(-3)
    return told.length === 3 && new Set(told).size === 1 ? now : undefined
  })
  const { items } = await shadow.admin.call('listVolumes', {})
  const onDisk = items[0]?.use?.onDiskBytes ?? 0
  assert.ok(onDisk > 0)
  // Two hours asleep: ten minutes after ten minutes.
  for (let minutes = 0; minutes < 130; minutes += 10) {
    shadow.clock.leap(600_000)
    await shadow.spoken()
    await wait(100)
  }
  const later = await until(async () => {
    shadow.clock.leap(5_000)
    const now = await usageOf(shadow, 'notes')
    return now !== undefined && now.volumeGiBHours > (1.5 * onDisk) / 2 ** 30 ? now : undefined
  })
  assert.ok(later.volumeGiBHours < (3.5 * onDisk) / 2 ** 30, `${later.volumeGiBHours}`)
  assert.deepEqual([later.requests, later.awakeSeconds], [used.requests, used.awakeSeconds])
})
