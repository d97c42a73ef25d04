import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX, traces } from '../tools/environment.ts'
import { removeNetworkOf } from '../tools/network.ts'
import { register, until } from '../tools/shadow.ts'
import { Visitor } from '../tools/visitor.ts'

const PROGRAM = join(import.meta.dirname, '../tools/up-that-dies.ts')

const run = promisify(execFile)
const name = `${TEST_NODE_PREFIX}parked-${randomBytes(3).toString('hex')}`
let data: string

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
})
afterAll(async () => {
  const left = await containers()
  if (left.length > 0) await run('docker', ['rm', '-f', ...left])
  await removeNetworkOf(name)
  await rm(data, { recursive: true, force: true })
})

type Up = { readonly child: ChildProcess; readonly visitor: Visitor; readonly admin: MasterClient }

async function start(dies?: { app: string; at: string }): Promise<Up> {
  const here = { SHADOW_MASTER_LISTEN: '127.0.0.1:0', SHADOW_NODE_LISTEN: '127.0.0.1:0' }
  const settings = { data, SHADOW_NODE_NAME: name, SHADOW_PREPARED_NETWORKS: '0', ...here }
  const words = [PROGRAM, JSON.stringify({ settings, dies })]
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  const { front, master, token } = JSON.parse(line)
  const visitor = new Visitor(() => Number(new URL(front).port))
  return { child, visitor, admin: masterClient({ url: master, token, withinMs: 30_000 }) }
}

async function end({ child }: Up, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(signal)
  await ended
}

const park = ({ admin }: Up, app: string) => admin.call('sleepApp', { params: { app }, query: { to: 'parked' } })

/** Ids of all containers of the node. */
async function containers(): Promise<string[]> {
  const { stdout } = await run('docker', ['ps', '-aq', '--no-trunc', '--filter', `label=shadow.node=${name}`])
  return stdout.split('\n').filter(Boolean)
}

async function names(): Promise<string[]> {
  const format = ['--format', '{{.Names}}', '--filter', `label=shadow.node=${name}`]
  return (await run('docker', ['ps', '-a', ...format])).stdout.split('\n').filter(Boolean)
}

const bootOf = async (up: Up, app: string): Promise<string> => (await up.visitor.ask(app)).json.boot.id

test('a node that is killed removes what was parked, and takes over what it had woken from that', async () => {
  const first = await start()
  for (const app of ['one', 'two'])
    await register(first.admin, app, { volume: { size: '16MiB' }, sleep: { idleAfter: 'never', grace: '2s' } })
  await park(first, 'one')
  await park(first, 'two')
  const boot = await bootOf(first, 'one')
  await first.visitor.ask('one', '/files/page', { method: 'PUT', body: 'kept' })
  const { container } = await first.admin.call('getInstance', { params: { app: 'one' } })
  assert.equal((await containers()).length, 2)
  await end(first, 'SIGKILL')

  const second = await start()
  assert.equal(await bootOf(second, 'one'), boot)
  await until(async () => ((await containers()).join() === container?.id ? true : undefined))
  await until(async () =>
    (await readdir(`${data}/gates`)).filter(file => !file.includes('.')).length === 1 ? true : undefined,
  )
  await park(second, 'one')
  assert.notEqual(await bootOf(second, 'one'), boot)
  assert.equal((await second.visitor.ask('one', '/files/page')).text, 'kept')
  await second.visitor.ask('two')
  for (const app of ['one', 'two']) await second.admin.call('sleepApp', { params: { app } })
  await end(second, 'SIGTERM')
  assert.deepEqual(await containers(), [])
})

for (const at of ['after create', 'after mount', 'before start', 'after start'])
  test(`a node that is killed ${at} of a wake from a parked container serves the app from one container again`, async () => {
    const first = await start({ app: 'one', at })
    await park(first, 'one')
    const gone = once(first.child, 'exit')
    await first.visitor.ask('one').catch(() => undefined) // it dies under the request
    await gone
    const [left = ''] = await containers()
    const second = await start()
    assert.equal((await second.visitor.ask('one', '/files/page')).text, 'kept')
    const { container } = await second.admin.call('getInstance', { params: { app: 'one' } })
    assert.deepEqual(await containers(), [container?.id])
    assert.equal(container?.id === left, at === 'after start') // what was at its gate is nobody's
    await until(async () => ((await names()).join() === `shadow-${name}-one` ? true : undefined))
    await second.admin.call('sleepApp', { params: { app: 'one' } })
    await end(second, 'SIGTERM')
    assert.deepEqual([await containers(), (await traces()).filter(trace => trace.includes(`${data}/`))], [[], []])
  })
