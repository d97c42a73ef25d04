import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX, traces } from '../tools/environment.ts'
import { type KilledUp, startKilledUp } from '../tools/killed-up.ts'
import { removeNetworkOf } from '../tools/network.ts'
import { containersOf, register, until } from '../tools/shadow.ts'
import { isStopped } from '../tools/stopped.ts'
import { zramSwap } from '../tools/zram.ts'

const name = `${TEST_NODE_PREFIX}cold-${randomBytes(3).toString('hex')}`
const ALWAYS = { volume: { size: '64MiB' }, sleep: { idleAfter: 'never', grace: '2s' } }
const docker = async (...args: string[]): Promise<string> => (await promisify(execFile)('docker', args)).stdout.trim()
let data: string

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
  await using up = await start()
  await register(up.admin, 'blog', ALWAYS)
  await up.visitor.ask('blog', '/files/page', { method: 'PUT', body: 'kept' })
})
afterAll(async () => {
  const left = await containersOf(name)
  if (left.length > 0) await docker('rm', '-f', ...left)
  await removeNetworkOf(name)
  await rm(data, { recursive: true, force: true })
})

const start = (): Promise<KilledUp> => startKilledUp(data, name)
const bootOf = async (up: KilledUp): Promise<string> => (await up.visitor.ask('blog')).json.boot.id
const step = (up: KilledUp, to: 'frozen' | 'suspended' | 'asleep') =>
  up.admin.call('sleepApp', { params: { app: 'blog' }, query: { to } })

/** Brings the app where `to` says, kills the node, and starts it again: the container, its memory and its volume are those of before. */
async function outlives(to: 'frozen' | 'suspended'): Promise<void> {
  let boot: string
  {
    await using up = await start()
    boot = await bootOf(up)
    assert.equal((await step(up, to)).phase, to)
    await up.kill()
  }
  const before = await containersOf(name, 'blog')
  await using up = await start()
  assert.equal(await isStopped(before[0] ?? ''), true)
  assert.equal((await up.admin.call('getInstance', { params: { app: 'blog' } })).phase, 'frozen')
  assert.equal(await bootOf(up), boot)
  assert.equal((await up.visitor.ask('blog', '/files/page')).text, 'kept')
  assert.deepEqual(await containersOf(name, 'blog'), before)
  assert.equal((await step(up, 'asleep')).phase, 'asleep')
  assert.deepEqual(await containersOf(name, 'blog'), [])
  assert.deepEqual(
    (await traces()).filter(trace => trace.includes(`${data}/volumes/blog/`)),
    [],
  )
}

describe('a node that is killed', () => {
  test('leaves a frozen app with its memory, which serves on once the node is there again', () => outlives('frozen'))

  test('leaves a suspended app with its memory, which serves on once the node is there again', async context => {
    await using swap = await zramSwap()
    if (swap === undefined) return context.skip('this machine cannot have swap in zram')
    await outlives('suspended')
  })

  test('while the memory of an app is being moved leaves it with its memory', async context => {
    await using swap = await zramSwap()
    if (swap === undefined) return context.skip('this machine cannot have swap in zram')
    let boot: string
    {
      await using up = await start()
      boot = await bootOf(up)
      await up.visitor.ask('blog', `/eat?bytes=${200 * 2 ** 20}`)
      const moving = assert.rejects(step(up, 'suspended'))
      const [id = ''] = await containersOf(name, 'blog')
      await until(async () => (await isStopped(id)) || undefined)
      await up.kill()
      await moving
    }
    await using up = await start()
    assert.equal(await bootOf(up), boot)
  })

  test('while an app is frozen in the middle of a write: the app ends its write after that, and the file is whole', async () => {
    const chunks = 600
    const part = `${data}/volumes/blog/mnt/big.part`
    {
      await using up = await start()
      await up.visitor.ask('blog', `/write?name=big&chunks=${chunks}`)
      await until(async () => ((await sizeOf(part)) > 0 ? true : undefined))
      assert.equal((await step(up, 'frozen')).phase, 'frozen')
      const written = await sizeOf(part)
      assert.ok(written > 0 && written < chunks * 65_536, `${written} bytes of it are written`)
      await up.kill()
      await wait(300)
      assert.equal(await sizeOf(part), written, 'nothing of it runs on')
    }
    await using up = await start()
    await until(async () => ((await up.visitor.ask('blog', '/files/')).json.includes('big') ? true : undefined))
    const whole = Buffer.concat(Array.from({ length: chunks }, (_, i) => Buffer.alloc(65_536, i % 251)))
    const { bytes } = await up.visitor.ask('blog', '/files/big')
    assert.equal(sha256(bytes), sha256(whole))
    // The sleep unmounts and checks the filesystem at the next wake.
    await step(up, 'asleep')
    assert.equal(sha256((await up.visitor.ask('blog', '/files/big')).bytes), sha256(whole))
  })

  test('while the container of a frozen app is killed too: the app is started anew, with its data', async () => {
    let boot: string
    {
      await using up = await start()
      boot = await bootOf(up)
      await step(up, 'frozen')
      await up.kill()
    }
    const [id = ''] = await containersOf(name, 'blog')
    await docker('kill', id)
    await using up = await start()
    assert.notEqual(await bootOf(up), boot)
    assert.equal((await up.visitor.ask('blog', '/files/page')).text, 'kept')
    assert.equal((await containersOf(name, 'blog')).length, 1)
    await step(up, 'asleep')
    assert.deepEqual(await containersOf(name, 'blog'), [])
  })
})

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  )
