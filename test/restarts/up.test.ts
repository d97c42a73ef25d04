import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX, traces } from '../tools/environment.ts'
import { type KilledUp, startKilledUp } from '../tools/killed-up.ts'
import { removeNetworkOf } from '../tools/network.ts'
import type { Input } from '../tools/node-that-dies.ts'
import { containersOf, register } from '../tools/shadow.ts'

const ALWAYS = { volume: { size: '16MiB' }, sleep: { idleAfter: 'never', grace: '2s' } }

const name = `${TEST_NODE_PREFIX}up-${randomBytes(3).toString('hex')}`
let data: string

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
})
afterAll(async () => {
  const left = await containersOf(name)
  if (left.length > 0) await promisify(execFile)('docker', ['rm', '-f', ...left])
  await removeNetworkOf(name)
  await rm(data, { recursive: true, force: true })
})

const start = (dies?: Input['dies']): Promise<KilledUp> => startKilledUp(data, name, dies)

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

  async function diesAt(at: string, deed: (up: KilledUp) => Promise<unknown>): Promise<void> {
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
