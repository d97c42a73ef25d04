import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX, traces } from '../tools/environment.ts'
import type { Input } from '../tools/node-that-dies.ts'
import { containersOf, register } from '../tools/shadow.ts'
import { Visitor } from '../tools/visitor.ts'

const PROGRAM = join(import.meta.dirname, '../tools/up-that-dies.ts')
const ALWAYS = { volume: { size: '16MiB' }, sleep: { idleAfter: 'never', grace: '2s' } }

const name = `${TEST_NODE_PREFIX}up-${randomBytes(3).toString('hex')}`
let data: string

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
})
afterAll(async () => {
  const left = await containersOf(name)
  if (left.length > 0) await promisify(execFile)('docker', ['rm', '-f', ...left])
  await rm(data, { recursive: true, force: true })
})

type Up = AsyncDisposable & { readonly child: ChildProcess; readonly visitor: Visitor; readonly admin: MasterClient }

/** Master, node and front in one process that dies at the step of `dies`. */
async function start(dies?: Input['dies']): Promise<Up> {
  const settings = {
    data,
    SHADOW_NODE_NAME: name,
    SHADOW_MASTER_LISTEN: '127.0.0.1:0',
    SHADOW_NODE_LISTEN: '127.0.0.1:0',
  }
  const input: Input = { settings, ...(dies && { dies }) }
  // The program starts two dozen times. Node's compile cache halves the time of each start but the first.
  const env = { ...process.env, NODE_COMPILE_CACHE: `${data}/compiled` }
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(input)], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string]
  const { front, master, token } = JSON.parse(line)
  return {
    child,
    visitor: new Visitor(() => Number(new URL(front).port)),
    admin: masterClient({ url: master, token, withinMs: 30_000 }),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

const groundOf = async (app: string): Promise<string[]> =>
  (await traces()).filter(trace => trace.includes(`${data}/volumes/${app}/`))

describe('shadow up, all three daemons killed at once', () => {
  let steadyBoot: string
  const notes: string[] = []

  test('serves two apps with volumes to begin with', async () => {
    await using up = await start()
    for (const app of ['dying', 'steady']) await register(up.admin, app, ALWAYS)
    steadyBoot = (await up.visitor.ask('steady')).json.boot.id
  })

  for (const at of ['before lease', 'after attach', 'after mount', 'after create', 'after start', 'after ready'])
    test(`${at} of a wake, leaves nothing half-way: the next start serves both apps, with their data`, () =>
      diesAt(at, up => up.visitor.ask('dying')))

  for (const at of ['before stop', 'after stop', 'after unmount', 'after detach'])
    test(`${at} of a sleep, leaves nothing half-way: the next start serves both apps, with their data`, () =>
      diesAt(at, async up => {
        await up.visitor.ask('dying')
        await up.admin.call('sleepApp', { params: { app: 'dying' } })
      }))

  async function diesAt(at: string, deed: (up: Up) => Promise<unknown>): Promise<void> {
    {
      await using up = await start({ app: 'dying', at })
      const ended = once(up.child, 'exit')
      await assert.rejects(deed(up))
      assert.deepEqual(await ended, [null, 'SIGKILL'])
    }
    await using up = await start()
    const { phase } = await up.admin.call('getInstance', { params: { app: 'dying' } })
    const containers = await containersOf(name, 'dying')
    if (phase === 'awake') assert.equal(containers.length, 1)
    else assert.deepEqual([phase, containers, await groundOf('dying')], ['asleep', [], []])

    const { status } = await up.visitor.ask('dying', `/files/${notes.length}`, { method: 'PUT', body: at })
    assert.equal(status, 200)
    notes.push(at)
    for (const [n, note] of notes.entries()) assert.equal((await up.visitor.ask('dying', `/files/${n}`)).text, note)
    assert.equal((await up.visitor.ask('steady')).json.boot.id, steadyBoot)

    await up.admin.call('sleepApp', { params: { app: 'dying' } })
    assert.deepEqual([await containersOf(name, 'dying'), await groundOf('dying')], [[], []])
  }

  test('in the end all of it sleeps, and nothing is left', async () => {
    await using up = await start()
    await up.admin.call('sleepApp', { params: { app: 'steady' } })
    assert.deepEqual(await containersOf(name), [])
    assert.deepEqual(
      (await traces()).filter(trace => trace.includes(data)),
      [],
    )
  })
})
