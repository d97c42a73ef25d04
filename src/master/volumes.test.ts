import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest'
import { type FailureCode, isFailure } from '../lib/errors.ts'
import type { VolumeDriver } from '../model/task.ts'
import { HandClock } from '../testing/clock.ts'
import { type FakeNode, fakeNode } from '../testing/fake-node.ts'
import { anAnnouncement } from '../testing/front.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-volumes-'))
const clock = new HandClock()
let on: TestMaster
let app: string
let count = 0
beforeAll(async () => {
  on = await testMaster(await directory({ path }), clock)
})
beforeEach(async () => {
  app = `blog-${count++}`
  await on.admin.call('registerApp', { body: { name: app, image: 'x', volume: { size: '1GiB' } } })
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const rejectsWith = (code: FailureCode, action: Promise<unknown>) =>
  assert.rejects(action, error => isFailure(error, code))
const volume = () => on.admin.call('getVolume', { params: { volume: app } })
const lease = (node: string) => on.admin.call('leaseVolume', { params: { volume: app }, body: { node } })
const leasePool = (node: string) =>
  on.admin.call('leaseVolume', { params: { volume: app }, body: { node, forMs: 60_000, driver: 'pool' } })
const announce = (name: string, { address, key, controlKey }: FakeNode, volumeDrivers?: VolumeDriver[]) =>
  on.admin.call('announceNode', {
    params: { node: name },
    body: anAnnouncement({ address, key, controlKey, ...(volumeDrivers && { volumeDrivers }) }),
  })

describe('the disk of a volume whose lease does not expire', () => {
  const [one, other] = ['disk-1-0123456789', 'disk-2-0123456789']
  const leaseOn = (disk: string, node = 'n1') =>
    on.admin.call('leaseVolume', { params: { volume: app }, body: { node, disk } })

  test('is the one of the first lease: a machine of the same name with another disk gets no lease', async () => {
    const { lease: first } = await leaseOn(one)
    await assert.rejects(leaseOn(other), error => {
      assert.ok(isFailure(error, 'volume-not-here'))
      assert.match(error.message, /on a disk that the node n1 had before; .* no empty volume is made there$/)
      return true
    })
    assert.deepEqual((await leaseOn(one)).lease, first)
  })

  test('is recorded when a node asks again that has its lease from an earlier version', async () => {
    await lease('n1')
    await leaseOn(one)
    await rejectsWith('volume-not-here', leaseOn(other))
  })

  test('is any disk once the volume was removed', async () => {
    await using node = await fakeNode('n1')
    await announce('n1', node)
    await leaseOn(one)
    await on.admin.call('removeApp', { params: { app }, query: { withVolume: 'true' } })
    await on.admin.call('registerApp', { body: { name: app, image: 'x', volume: { size: '1GiB' } } })
    await leaseOn(other)
  })
})

describe('a volume', () => {
  test('is known from the registration of its app on', async () => {
    const { createdAt: _, ...rest } = await volume()
    assert.deepEqual(rest, { id: app, app, size: '1GiB', lease: null })
    assert.equal((await on.admin.call('getApp', { params: { app } })).task.volume?.path, '/data')
  })

  test('grows, and never shrinks: the fault names the field, what it has and what was asked', async () => {
    await on.admin.call('updateApp', { params: { app }, body: { volume: { size: '2GiB' } } })
    assert.equal((await volume()).size, '2GiB')
    const shrink = on.admin.call('updateApp', { params: { app }, body: { volume: { size: '1536MiB' } } })
    await assert.rejects(shrink, error => {
      assert.ok(isFailure(error, 'bad-input'))
      assert.equal(error.details.faults?.[0]?.field, 'volume.size')
      assert.match(error.message, /2GiB.*1536MiB/)
      return true
    })
    assert.equal((await on.admin.call('getApp', { params: { app } })).task.revision, 2)
  })

  test('has the driver that its app names, and changes it only while it has no data', async () => {
    const change = (driver: 'loop' | 'pool') =>
      on.admin.call('updateApp', { params: { app }, body: { volume: { driver } } })
    const task = async () => (await on.admin.call('getApp', { params: { app } })).task
    await change('loop')
    assert.equal((await task()).revision, 1, 'it is the usual one')
    await change('pool')
    assert.deepEqual([(await task()).volume?.driver, (await volume()).driver], ['pool', 'pool'])
    await change('loop')
    assert.deepEqual([(await task()).volume?.driver, (await volume()).driver], [undefined, undefined])
    await lease('node-1')
    await assert.rejects(change('pool'), error => {
      assert.ok(isFailure(error, 'bad-input'))
      assert.equal(error.details.faults?.[0]?.field, 'volume.driver')
      assert.match(error.message, /has data, which the driver loop keeps/)
      return true
    })
    await on.admin.call('releaseVolume', { params: { volume: app }, query: { node: 'node-1', epoch: 1 } })
    await rejectsWith('bad-input', change('pool'))
  })

  test('of a removed app keeps its driver until its data is deleted', async () => {
    await lease('node-1')
    await on.admin.call('removeApp', { params: { app } })
    const again = { name: app, image: 'x', volume: { size: '1GiB', driver: 'pool' } } as const
    await rejectsWith('bad-input', on.admin.call('registerApp', { body: again }))
    await using node = await fakeNode('node-1')
    await announce('node-1', node)
    await on.admin.call('removeVolume', { params: { volume: app } })
    await on.admin.call('registerApp', { body: again })
    assert.equal((await volume()).driver, 'pool')
    await on.admin.call('updateApp', { params: { app }, body: { volume: { driver: 'loop' } } })
    assert.equal((await volume()).driver, undefined, 'it has no data yet')
  })

  test('outlives its app without one, and comes back to an app of the same name', async () => {
    await lease('node-1')
    await on.admin.call('removeApp', { params: { app } })
    assert.deepEqual([(await volume()).app, (await volume()).lease?.node], [null, 'node-1'])
    await rejectsWith(
      'bad-input',
      on.admin.call('registerApp', { body: { name: app, image: 'x', volume: { size: '512MiB' } } }),
    )
    await on.admin.call('registerApp', { body: { name: app, image: 'x', volume: { size: '3GiB' } } })
    const { app: owner, size, lease: held } = await volume()
    assert.deepEqual([owner, size, held], [app, '3GiB', { node: 'node-1', epoch: 1, until: null }])
  })

  test('that its app does without since an update is kept, without an app', async () => {
    await on.admin.call('updateApp', { params: { app }, body: { volume: null } })
    assert.equal((await on.admin.call('getApp', { params: { app } })).task.volume, undefined)
    assert.equal((await volume()).app, null)
    await on.admin.call('updateApp', { params: { app }, body: { volume: { size: '1GiB' } } })
    assert.equal((await volume()).app, app)
  })

  test('of an app is not removed', async () => {
    await rejectsWith('volume-in-use', on.admin.call('removeVolume', { params: { volume: app } }))
    assert.equal((await volume()).app, app)
  })

  test('without an app is removed, its bytes first', async () => {
    await using node = await fakeNode('node-1')
    await announce('node-1', node)
    await lease('node-1')
    await on.admin.call('removeApp', { params: { app } })
    await on.admin.call('removeVolume', { params: { volume: app } })
    assert.deepEqual(node.calls, [`removeVolume ${app}`])
    await rejectsWith('not-found', volume())
    assert.ok(!(await on.admin.call('listVolumes', {})).items.some(({ id }) => id === app))
    await rejectsWith('not-found', on.admin.call('removeVolume', { params: { volume: app } }))
  })

  test('goes with its app where that is asked for: the app is put to sleep and forgotten before its bytes are deleted', async () => {
    await using node = await fakeNode('node-1')
    await announce('node-1', node)
    await lease('node-1')
    await on.admin.call('removeApp', { params: { app }, query: { withVolume: 'true' } })
    assert.deepEqual(node.calls.slice(0, 2), [`forgetApp ${app}`, `removeVolume ${app}`])
    await rejectsWith('not-found', volume())
    await rejectsWith('app-not-found', on.admin.call('getApp', { params: { app } }))
  })

  test('whose lease was given up is removed with its bytes, on every node that had it', async () => {
    await using one = await fakeNode('node-1')
    await using two = await fakeNode('node-2')
    await announce('node-1', one)
    await announce('node-2', two)
    for (const [node, epoch] of [
      ['node-1', 1],
      ['node-2', 2],
    ] as const) {
      await lease(node)
      await on.admin.call('releaseVolume', { params: { volume: app }, query: { node, epoch } })
    }
    await on.admin.call('removeApp', { params: { app } })
    await on.admin.call('removeVolume', { params: { volume: app } })
    assert.deepEqual([one.calls, two.calls], [[`removeVolume ${app}`], [`removeVolume ${app}`]])
    await rejectsWith('not-found', volume())
  })

  test('whose lease was given up is not removed while the node that has its bytes does not answer', async () => {
    const node = await fakeNode('node-3')
    await announce('node-3', node)
    await lease('node-3')
    await on.admin.call('releaseVolume', { params: { volume: app }, query: { node: 'node-3', epoch: 1 } })
    await node[Symbol.asyncDispose]()
    await on.admin.call('removeApp', { params: { app } })
    await rejectsWith('node-unreachable', on.admin.call('removeVolume', { params: { volume: app } }))
    assert.equal((await volume()).id, app)
  })

  test('whose node does not answer is not removed, and neither is its app', async () => {
    const node = await fakeNode('node-2')
    await announce('node-2', node)
    await node[Symbol.asyncDispose]()
    await lease('node-2')
    await rejectsWith(
      'node-unreachable',
      on.admin.call('removeApp', { params: { app }, query: { withVolume: 'true' } }),
    )
    assert.equal((await on.admin.call('getApp', { params: { app } })).name, app)
    assert.equal((await volume()).lease?.node, 'node-2')
  })

  test('that no node ever had goes with its app though no node is there', async () => {
    await on.admin.call('removeApp', { params: { app }, query: { withVolume: 'true' } })
    await rejectsWith('not-found', volume())
  })

  test('is leased to one node at a time; another is told who has it', async () => {
    assert.deepEqual((await lease('node-1')).lease, { node: 'node-1', epoch: 1, until: null })
    assert.equal((await lease('node-1')).lease?.epoch, 1, 'its own lease again is the same lease')
    await assert.rejects(
      lease('node-2'),
      error => isFailure(error, 'volume-elsewhere') && error.details.facts?.['node'] === 'node-1',
    )
  })

  test('is leased for a time, renewed by its epoch, and free for others when that time is over', async () => {
    const ask = (node: string, epoch?: number) =>
      on.admin.call('leaseVolume', { params: { volume: app }, body: { node, forMs: 60_000, epoch } })
    const until = (ms: number) => new Date(clock.wall() + ms).toISOString()
    assert.deepEqual((await ask('node-1')).lease, { node: 'node-1', epoch: 1, until: until(60_000) })
    await clock.advance(20_000)
    assert.deepEqual((await ask('node-1', 1)).lease, { node: 'node-1', epoch: 1, until: until(60_000) })
    await clock.advance(59_999)
    await rejectsWith('volume-elsewhere', ask('node-2'))
    await rejectsWith('volume-elsewhere', lease('node-2'))
    await clock.advance(1)
    assert.deepEqual((await ask('node-2')).lease, { node: 'node-2', epoch: 2, until: until(60_000) })
    await rejectsWith('volume-elsewhere', ask('node-1', 1))
    assert.equal((await ask('node-2')).lease?.epoch, 3, 'the same node begins anew: what it held before is fenced off')
    await rejectsWith('volume-elsewhere', ask('node-2', 2))
    await on.admin.call('releaseVolume', { params: { volume: app }, query: { node: 'node-2', epoch: 3 } })
    await rejectsWith('volume-elsewhere', ask('node-2', 3))
  })

  test('is given up by whoever has that very lease alone, and every lease has a later epoch', async () => {
    const release = (node: string, epoch: number) =>
      on.admin.call('releaseVolume', { params: { volume: app }, query: { node, epoch } })
    await lease('node-8')
    await release('node-9', 1)
    await release('node-8', 7)
    assert.equal((await volume()).lease?.node, 'node-8')
    await release('node-8', 1)
    await release('node-8', 1)
    assert.equal((await volume()).lease, null)
    assert.equal((await lease('node-9')).lease?.epoch, 2)
    await release('node-9', 2)
    await on.admin.call('removeApp', { params: { app }, query: { withVolume: 'true' } })
    await on.admin.call('registerApp', { body: { name: app, image: 'x', volume: { size: '1GiB' } } })
    assert.equal((await lease('node-8')).lease?.epoch, 3, 'an old holder is never taken for the new one')
  })

  test('is leased only to a node that has the driver of its record', async () => {
    await rejectsWith(
      'changed',
      on.admin.call('leaseVolume', { params: { volume: app }, body: { node: 'node-1', driver: 'pool' } }),
    )
    await on.admin.call('updateApp', { params: { app }, body: { volume: { driver: 'pool' } } })
    await rejectsWith('changed', lease('node-1'))
    assert.equal((await leasePool('node-1')).lease?.node, 'node-1')
  })

  test('of the pool is refused to others until its lease has ended, with how long that takes', async () => {
    await on.admin.call('updateApp', { params: { app }, body: { volume: { driver: 'pool' } } })
    await leasePool('node-1')
    await clock.advance(18_000)
    await assert.rejects(leasePool('node-2'), error => {
      assert.ok(isFailure(error, 'volume-elsewhere'))
      assert.deepEqual(error.details.facts, { node: 'node-1', leaseEndsMs: 42_000 })
      return true
    })
    await clock.advance(42_000)
    assert.deepEqual((await leasePool('node-2')).lease?.epoch, 2)
  })

  test('of the pool is removed once, by one node of the pool that is there, whoever had it', async () => {
    await on.admin.call('updateApp', { params: { app }, body: { volume: { driver: 'pool' } } })
    await leasePool('node-gone')
    await clock.advance(60_000)
    await using without = await fakeNode('node-5')
    await using having = await fakeNode('node-6')
    await announce('node-5', without)
    await announce('node-6', having, ['loop', 'pool'])
    await on.admin.call('removeApp', { params: { app }, query: { withVolume: 'true' } })
    assert.deepEqual(without.calls, [])
    assert.ok(having.calls.includes(`removeVolume ${app}`))
    await rejectsWith('not-found', volume())
  })

  test('of the pool is not removed while the lease of a node that does not answer has not ended', async () => {
    await on.admin.call('updateApp', { params: { app }, body: { volume: { driver: 'pool' } } })
    const node = await fakeNode('node-7')
    await announce('node-7', node, ['pool'])
    await node[Symbol.asyncDispose]()
    await leasePool('node-7')
    await rejectsWith(
      'node-unreachable',
      on.admin.call('removeApp', { params: { app }, query: { withVolume: 'true' } }),
    )
    assert.equal((await volume()).lease?.node, 'node-7')
  })
})

describe('a volume of a cloud', () => {
  const leaseEbs = (node: string, zone: string) =>
    on.admin.call('leaseVolume', {
      params: { volume: app },
      body: { node, forMs: 60_000, driver: 'ebs', zone },
    })
  beforeEach(async () => {
    app = `on-ebs-${count++}`
    const volume = { size: '1GiB', driver: 'ebs' as const }
    await on.admin.call('registerApp', { body: { name: app, image: 'x', volume } })
  })

  test('is in the zone of its first lease, which routes tell, and which it keeps without a lease', async () => {
    const { lease } = await leaseEbs('node-1', 'eu-1a')
    await on.admin.call('releaseVolume', {
      params: { volume: app },
      query: { node: 'node-1', epoch: lease?.epoch ?? 0 },
    })
    const { zone, lease: now } = await volume()
    assert.deepEqual([zone, now], ['eu-1a', null])
    const route = await (await on.as('proxy')).call('getHost', { params: { hostname: `${app}.localhost` } })
    assert.deepEqual(route.needs.volume, { node: null, isLocal: false, driver: 'ebs', zone: 'eu-1a' })
  })

  test('is not leased to a node in another zone, which is told both zones', async () => {
    await leaseEbs('node-1', 'eu-1a')
    await clock.advance(61_000)
    await assert.rejects(
      leaseEbs('node-2', 'eu-1b'),
      error => isFailure(error, 'no-node') && /in zone eu-1a, and node-2 in zone eu-1b/.test(error.message),
    )
    await leaseEbs('node-2', 'eu-1a')
  })
})
