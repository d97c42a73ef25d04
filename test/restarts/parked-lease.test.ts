import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { TEST_FOLDER_PREFIX, TEST_NODE_PREFIX, traces } from '../tools/environment.ts'
import { type KilledUp, startKilledUp } from '../tools/killed-up.ts'
import { removeNetworkOf } from '../tools/network.ts'
import { containersOf, register, until } from '../tools/shadow.ts'

const node = `${TEST_NODE_PREFIX}parked-${randomBytes(3).toString('hex')}`
const LEASE = '12s'
let data: string

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
})
afterAll(async () => {
  const left = await containersOf(node)
  if (left.length > 0) await promisify(execFile)('docker', ['rm', '-f', ...left])
  await removeNetworkOf(node)
  await rm(data, { recursive: true, force: true })
})

const start = (dies?: { app: string; at: string }) =>
  startKilledUp(data, node, dies, { SHADOW_POOL: `${data}/pool`, SHADOW_POOL_LEASE: LEASE })
const park = ({ admin }: KilledUp, app: string) => admin.call('sleepApp', { params: { app }, query: { to: 'parked' } })
const isRunning = async (): Promise<boolean> => {
  const [id] = await containersOf(node)
  if (id === undefined) return false
  const { stdout } = await promisify(execFile)('docker', ['inspect', '--format', '{{.State.Running}}', id])
  return stdout.trim() === 'true'
}
const mounted = async () => (await traces()).filter(trace => trace.includes(`${data}/`) && trace.includes('/blog/mnt'))

test('an app that was woken from parked is ended with its lease when its node dies as soon as its gate is open, and is woken with its data', async () => {
  const first = await start()
  await register(first.admin, 'blog', { volume: { size: '32MiB', driver: 'pool' } })
  assert.equal((await first.visitor.ask('blog', '/files/page', { method: 'PUT', body: 'kept' })).status, 200)
  await first[Symbol.asyncDispose]()

  const second = await start({ app: 'blog', at: 'after start' })
  await park(second, 'blog')
  const ended = once(second.child, 'exit')
  await second.visitor.ask('blog').catch(() => undefined) // it dies under the request
  await ended
  assert.equal(await isRunning(), true)
  // The guard process ends it: its node does not run.
  await until(async () => !(await isRunning()) || undefined)
  await until(async () => (await mounted()).length === 0 || undefined)

  await using third = await start()
  assert.equal((await third.visitor.ask('blog', '/files/page')).text, 'kept')
  assert.equal((await containersOf(node)).length, 1)
  await park(third, 'blog')
  assert.equal((await third.visitor.ask('blog', '/files/page')).text, 'kept')
  await third.admin.call('sleepApp', { params: { app: 'blog' } })
})
