import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX } from '../tools/environment.ts'
import { removeNetworkOf } from '../tools/network.ts'
import { containersOf, register, until } from '../tools/shadow.ts'
import { Visitor } from '../tools/visitor.ts'

const PROGRAM = join(import.meta.dirname, '../tools/up-that-dies.ts')
const READY = 2

const run = promisify(execFile)
const name = `${TEST_NODE_PREFIX}nets-${randomBytes(3).toString('hex')}`
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

type Up = { readonly child: ChildProcess; readonly visitor: Visitor; readonly admin: MasterClient }

async function start(): Promise<Up> {
  const here = { SHADOW_MASTER_LISTEN: '127.0.0.1:0', SHADOW_NODE_LISTEN: '127.0.0.1:0' }
  const settings = { data, SHADOW_NODE_NAME: name, SHADOW_PREPARED_NETWORKS: `${READY}`, ...here }
  const words = [PROGRAM, JSON.stringify({ settings })]
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const { front, master, token } = JSON.parse(line)
  const visitor = new Visitor(() => Number(new URL(front).port))
  return { child, visitor, admin: masterClient({ url: master, token, withinMs: 30_000 }) }
}

async function end({ child }: Up, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
}

const lines = async (...args: string[]): Promise<string[]> =>
  (await run('docker', args)).stdout.split('\n').filter(Boolean)

/** Ids of the containers of the node that hold a network. */
const holders = (): Promise<string[]> =>
  lines('ps', '-q', '--no-trunc', '--filter', `label=shadow.node=${name}`, '--filter', 'label=shadow.holder')

/** The holder whose network the app's container has joined; undefined if it has one of its own. */
async function holderOf(app: string): Promise<string | undefined> {
  const [mode = ''] = await lines(
    'inspect',
    '--format',
    '{{.HostConfig.NetworkMode}}',
    ...(await containersOf(name, app)),
  )
  return /^container:(.*)$/.exec(mode)?.[1]
}

test('a node that is killed adopts its apps with their prepared networks, and leaves no other behind', async () => {
  const first = await start()
  for (const app of ['one', 'two']) await register(first.admin, app, { sleep: { idleAfter: 'never', grace: '2s' } })
  await first.visitor.ask('one') // makes the network, on which others are prepared then
  await first.admin.call('sleepApp', { params: { app: 'one' } })
  await until(async () => ((await holders()).length === READY ? true : undefined))
  const boots = new Map<string, string>()
  for (const app of ['one', 'two']) boots.set(app, (await first.visitor.ask(app)).json.boot.id)
  const inUse = new Set([await holderOf('one'), await holderOf('two')])
  assert.ok(!inUse.has(undefined) && inUse.size === 2)
  await until(async () => ((await holders()).length === 2 + READY ? true : undefined))
  const before = await holders()
  await end(first, 'SIGKILL')

  const second = await start()
  for (const [app, boot] of boots) assert.equal((await second.visitor.ask(app)).json.boot.id, boot)
  const fresh = await until(async () => {
    const now = await holders()
    const others = now.filter(id => !inUse.has(id))
    return now.length === 2 + READY && !others.some(id => before.includes(id)) ? others : undefined
  })
  assert.equal(fresh.length, READY)
  await second.admin.call('sleepApp', { params: { app: 'one' } })
  assert.notEqual((await second.visitor.ask('one')).json.boot.id, boots.get('one'))
  assert.ok(fresh.includes((await holderOf('one')) ?? ''))

  await second.admin.call('sleepApp', { params: { app: 'one' } })
  await end(second, 'SIGTERM')
  assert.deepEqual(await holders(), [await holderOf('two')]) // it goes on without its node
  const third = await start()
  assert.equal((await third.visitor.ask('two')).json.boot.id, boots.get('two'))
  await third.admin.call('sleepApp', { params: { app: 'two' } })
  await end(third, 'SIGTERM')
  assert.deepEqual([await holders(), await containersOf(name)], [[], []])
})

test('an app whose network is lost is woken again by the next request', async () => {
  const up = await start()
  await until(async () => ((await holders()).length === READY ? true : undefined))
  const boot = (await up.visitor.ask('one')).json.boot.id
  await run('docker', ['kill', (await holderOf('one')) ?? assert.fail()])
  // A request that comes before the end of its container is told that it cannot be reached.
  await until(async () => {
    const { status, json } = await up.visitor.ask('one')
    return (status === 200 && json.boot.id !== boot) || undefined
  })
  await up.admin.call('sleepApp', { params: { app: 'one' } })
  await end(up, 'SIGTERM')
  assert.deepEqual([await holders(), await containersOf(name)], [[], []])
})
