import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest'
import { type FailureCode, isFailure } from '../lib/errors.ts'
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
const announce = (name: string, { address, key, controlKey }: FakeNode) =>
  on.admin.call('announceNode', { params: { node: name }, body: anAnnouncement({ address, key, controlKey }) })

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
})
