import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, beforeEach, test } from 'vitest'
import { masterClient } from '../../src/api/client.ts'
import { TEST_FOLDER_PREFIX } from '../tools/environment.ts'
import { installed } from '../tools/installed.ts'
import { until } from '../tools/shadow.ts'

// A daemon that cannot write its log: the disk is full, or the terminal is gone.
let built: Awaited<ReturnType<typeof installed>>
let data: string
const started: ChildProcess[] = []

beforeAll(async () => {
  built = await installed()
})
afterAll(() => built[Symbol.asyncDispose]())
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
})
afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
  const { pid } = await endpoints()
  if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  await rm(data, { recursive: true })
})

const env = () => ({
  ...process.env,
  SHADOW_DATA: data,
  SHADOW_MASTER_LISTEN: '127.0.0.1:0',
  SHADOW_LOG_LEVEL: 'debug',
})

function start(file: string, args: string[], stderr: number | 'pipe' = 'pipe'): ChildProcess {
  const child = spawn(file, args, { env: env(), stdio: ['ignore', 'pipe', stderr] })
  started.push(child)
  return child
}

const endpoints = (): Promise<{ pid: number; master: string }> =>
  until(async () => JSON.parse((await readFile(join(data, 'up.json'), 'utf8').catch(() => '')) || 'null') ?? undefined)

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Registers an app, for which the master logs a line. Returns the answer. */
async function register(name: string): Promise<string> {
  const { master } = await endpoints()
  const token = (await readFile(join(data, 'tokens/admin'), 'utf8')).trim()
  const client = masterClient({ url: master, token, withinMs: 10_000 })
  return (await client.call('registerApp', { body: { name, image: 'busybox' } })).name
}

test('a log disk that is full ends no daemon', async () => {
  const child = start(built.shadow, ['master'], openSync('/dev/full', 'w'))
  for (const name of ['one', 'two', 'three']) assert.equal(await register(name), name)
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('a terminal that goes away ends a daemon as SIGTERM does', async () => {
  const terminal = start('script', ['--quiet', '--command', `exec ${built.shadow} master`, '/dev/null'])
  const { pid } = await endpoints()
  terminal.kill('SIGKILL')
  await until(() => !isAlive(pid) || undefined)
})

test('a daemon under nohup outlives its terminal, and errors of writing to it (EIO)', async () => {
  const command = `trap '' HUP; exec ${built.shadow} master`
  const terminal = start('script', ['--quiet', '--command', command, '/dev/null'])
  assert.equal(await register('before'), 'before')
  const { pid } = await endpoints()
  terminal.kill('SIGKILL')
  await once(terminal, 'exit')
  process.kill(pid, 'SIGHUP')
  for (const name of ['one', 'two', 'three']) assert.equal(await register(name), name)
  assert.equal(isAlive(pid), true)
  process.kill(pid, 'SIGTERM')
  await until(() => !isAlive(pid) || undefined)
})

test('SIGHUP lets what is in flight finish, and ends with exit code 0', async () => {
  const child = start(built.shadow, ['master'])
  const log = text(child.stderr as NodeJS.ReadableStream)
  await endpoints()
  child.kill('SIGHUP')
  child.kill('SIGHUP')
  assert.deepEqual(await once(child, 'exit'), [0, null])
  assert.match(await log, /"signal":"SIGHUP","msg":"stopping"/)
})

test('a reader of its output that leaves ends no daemon (EPIPE)', async () => {
  const child = start(built.shadow, ['master', '--json'])
  child.stdout?.destroy()
  child.stderr?.destroy()
  for (const name of ['one', 'two', 'three']) assert.equal(await register(name), name)
})
