import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { type FailureCode, isFailure } from '../lib/errors.ts'
import { NODE_LOST_AFTER } from '../model/intervals.ts'
import { HandClock } from '../testing/clock.ts'
import { type FakeNode, fakeNode, instanceView } from '../testing/fake-node.ts'
import { anAnnouncement } from '../testing/front.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

let path: string
let clock: HandClock
let on: TestMaster
let other: TestMaster
let n1: FakeNode
let token: TestMaster['admin']
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-removal-'))
  clock = new HandClock()
  on = await testMaster(await directory({ path }), clock)
  other = await testMaster(await directory({ path }), clock)
  n1 = await fakeNode('n1')
  token = await on.as('node')
  await announce(token)
  for (const name of ['blog', 'pooled'])
    await on.admin.call('registerApp', { body: { name, image: 'x', volume: { size: '1GiB' } } })
})
afterEach(async () => {
  await n1[Symbol.asyncDispose]()
  await on[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const params = { node: 'n1' }
const announce = ({ call }: Pick<TestMaster['admin'], 'call'>) => {
  const { address, key, controlKey } = n1
  return call('announceNode', { params, body: anAnnouncement({ address, key, controlKey }) })
}
const remove = (query: { lost?: 'true'; dryRun?: 'true' } = {}) => on.admin.call('removeNode', { params, query })
const lease = (volume: string, forMs?: number) =>
  on.admin.call('leaseVolume', { params: { volume }, body: { node: 'n1', ...(forMs && { forMs }) } })
const volume = (name: string) => on.admin.call('getVolume', { params: { volume: name } })
const names = async () => (await on.admin.call('listNodes', {})).items.map(({ name }) => name)
const rejectsWith = (code: FailureCode, action: Promise<unknown>, said = /./) =>
  assert.rejects(action, error => isFailure(error, code) && said.test(`${error.message} ${error.details.hint}`))

describe('a node', () => {
  test('that takes apps, or has one that is not asleep, is not removed; drained and asleep it is, and its tokens open nothing', async () => {
    await rejectsWith('node-in-use', remove(), /n1 still takes apps.*shadow node drain n1/)
    await on.admin.call('drainNode', { params, body: {} })
    n1.instances.push(instanceView('busy', 'n1', 'awake'))
    await rejectsWith('node-in-use', remove(), /busy not asleep on n1/)
    n1.instances[0] = instanceView('busy', 'n1', 'asleep')
    assert.deepEqual(await remove(), { removed: true, lost: [], free: [] })
    assert.deepEqual(await names(), [])
    await rejectsWith('unauthorised', announce(token))
    await rejectsWith('not-found', remove())
  })

  test('that is removed does not come back by a token that another master still remembers', async () => {
    const client = await other.as('node')
    await announce(client)
    await on.admin.call('cordonNode', { params })
    await remove()
    await rejectsWith('unauthorised', announce(client))
    assert.deepEqual(await names(), [])
  })

  test('whose disk has volumes is not removed, whether it is there or gone', async () => {
    await lease('blog')
    await on.admin.call('drainNode', { params, body: { volumes: 'keep' } })
    await rejectsWith('node-in-use', remove(), /1 volume is on the disk of n1.*shadow remove APP --with-volume/)
    await clock.advance(NODE_LOST_AFTER)
    await rejectsWith('node-in-use', remove(), /if it is gone for good: shadow node rm n1 --lost/)
    assert.deepEqual([await names(), (await volume('blog')).lost], [['n1'], undefined])
  })

  test('that is gone and has nothing is removed', async () => {
    await clock.advance(NODE_LOST_AFTER)
    assert.equal((await remove()).removed, true)
  })

  test('that announces itself is not lost', async () => {
    await rejectsWith('node-in-use', remove({ lost: 'true' }), /n1 is not gone/)
  })
})

describe('a node that is lost', () => {
  beforeEach(async () => {
    await lease('blog')
    await lease('pooled', 3_600_000)
    await clock.advance(NODE_LOST_AFTER)
  })

  test('is told first with all that is lost with it, and nothing is changed', async () => {
    const plan = await remove({ lost: 'true', dryRun: 'true' })
    assert.equal(plan.removed, false)
    assert.deepEqual([plan.lost.map(({ id }) => id), plan.free.map(({ id }) => id)], [['blog'], ['pooled']])
    assert.deepEqual([await names(), (await volume('blog')).lost], [['n1'], undefined])
  })

  test('leaves its volumes lost: no other node gets a lease, and each who asks is told what to do', async () => {
    await remove({ lost: 'true' })
    const { lease: held, lost } = await volume('blog')
    assert.deepEqual([held, lost], [null, { node: 'n1', at: new Date(clock.wall()).toISOString() }])
    const n2 = { params: { volume: 'blog' }, body: { node: 'n2' } }
    await rejectsWith('volume-lost', on.admin.call('leaseVolume', n2), /on the disk of n1.*--no-volume/)
    const app = { params: { app: 'blog' } }
    for (const name of ['wakeApp', 'getInstance'] as const)
      await rejectsWith('volume-lost', on.admin.call(name, app), /if that machine comes back/)
    const { needs } = await on.admin.call('getHost', { params: { hostname: 'blog.localhost' } })
    assert.deepEqual(needs.volume, { node: 'n1', isLocal: true, isLost: true })
  })

  test('keeps the lease of a volume that other nodes reach until that ends: the machine may be alive and write', async () => {
    await remove({ lost: 'true' })
    const n2 = { params: { volume: 'pooled' }, body: { node: 'n2', forMs: 60_000 } }
    await rejectsWith('volume-elsewhere', on.admin.call('leaseVolume', n2))
    await clock.advance(3_600_000)
    assert.equal((await on.admin.call('leaseVolume', n2)).lease?.node, 'n2')
  })

  test('has its volumes again when it is back by a new token', async () => {
    const { lease: before } = await volume('blog')
    await remove({ lost: 'true' })
    await rejectsWith('unauthorised', announce(token))
    await announce(on.admin)
    const { lease: after, lost } = await volume('blog')
    assert.deepEqual([after, lost], [before, undefined])
  })

  test('can be gone on without: the volume is given up, removed, and made anew', async () => {
    await remove({ lost: 'true' })
    const app = { params: { app: 'blog' } }
    await on.admin.call('updateApp', { ...app, body: { volume: null } })
    await on.admin.call('removeVolume', { params: { volume: 'blog' } })
    await on.admin.call('updateApp', { ...app, body: { volume: { size: '2GiB' } } })
    const { lost, size } = await volume('blog')
    assert.deepEqual([lost, size], [undefined, '2GiB'])
    const n2 = { params: { volume: 'blog' }, body: { node: 'n2' } }
    assert.equal((await on.admin.call('leaseVolume', n2)).lease?.node, 'n2')
  })
})
