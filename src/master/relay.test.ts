import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { type FailureCode, isFailure, ShadowError } from '../lib/errors.ts'
import type { InstanceId } from '../model/instance-id.ts'
import { NODE_LOST_AFTER } from '../model/intervals.ts'
import { HandClock } from '../testing/clock.ts'
import { countingStorage } from '../testing/counting-storage.ts'
import { type FakeNode, fakeNode, instanceView } from '../testing/fake-node.ts'
import { anAnnouncement } from '../testing/front.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

let path: string
let clock: HandClock
let on: TestMaster
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-relay-'))
  clock = new HandClock()
  on = await testMaster(await directory({ path }), clock)
  await on.admin.call('registerApp', { body: { name: 'blog', image: 'x', volume: { size: '1GiB' } } })
  await on.admin.call('registerApp', { body: { name: 'plain', image: 'x' } })
})
afterEach(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

type Announced = Pick<FakeNode, 'address' | 'key'> & { readonly controlKey?: string }
const announce = (name: string, { address, key, controlKey = key }: Announced, memoryUtilization = 0.5) =>
  on.admin.call('announceNode', {
    params: { node: name },
    body: { ...anAnnouncement({ address, key, controlKey }), memoryUtilization },
  })
const rejectsWith = (code: FailureCode, action: Promise<unknown>) =>
  assert.rejects(action, error => isFailure(error, code))

describe('the master asks on behalf of others', () => {
  test('the node that has the volume of the app', async () => {
    await using one = await fakeNode('one')
    await using two = await fakeNode('two')
    await announce('one', one, 0.1)
    await announce('two', two, 0.9)
    await on.admin.call('leaseVolume', { params: { volume: 'blog' }, body: { node: 'two' } })
    assert.equal((await on.admin.call('getInstance', { params: { app: 'blog' } })).node, 'two')
    assert.equal((await on.admin.call('wakeApp', { params: { app: 'blog' } })).phase, 'awake')
    assert.equal((await on.admin.call('sleepApp', { params: { app: 'blog' } })).phase, 'asleep')
    assert.deepEqual([one.calls, two.calls], [[], ['getInstance blog', 'wakeInstance blog', 'sleepInstance blog']])
  })

  test('else the node that has the app awake, else the least loaded', async () => {
    await using one = await fakeNode('one', [instanceView('plain', 'one', 'asleep')])
    await using two = await fakeNode('two')
    await announce('one', one, 0.9)
    await announce('two', two, 0.1)
    two.instances.push(instanceView('plain', 'two', 'awake'))
    assert.equal((await on.admin.call('getInstance', { params: { app: 'plain' } })).node, 'two')
    two.instances.length = 0
    assert.equal((await on.admin.call('getInstance', { params: { app: 'plain' } })).node, 'one')
    one.instances.length = 0
    assert.equal((await on.admin.call('getInstance', { params: { app: 'plain' } })).node, 'two')
  })

  test('all nodes to put the instances of an app to sleep', async () => {
    await on.admin.call('registerApp', { body: { name: 'web', image: 'x', scale: { max: 4 } } })
    const instance = (id: string, node: string, phase: 'awake' | 'asleep') => ({
      ...instanceView('web', node, phase),
      instance: id as InstanceId,
    })
    await using one = await fakeNode('one', [instance('web', 'one', 'awake'), instance('web.3', 'one', 'asleep')])
    await using two = await fakeNode('two', [instance('web.2', 'two', 'awake'), instanceView('plain', 'two', 'awake')])
    await announce('one', one)
    await announce('two', two)
    await on.admin.call('sleepApp', { params: { app: 'web' } })
    const slept = [one, two].map(({ calls }) => calls.filter(call => call.startsWith('sleepInstance')))
    assert.deepEqual(slept, [['sleepInstance web'], ['sleepInstance web.2']])
  })

  test('all nodes for what they have, and names those that are silent', async () => {
    await using one = await fakeNode('one', [instanceView('blog', 'one', 'awake')])
    const gone = await fakeNode('gone')
    await gone[Symbol.asyncDispose]()
    await announce('one', one)
    await announce('gone', gone)
    const { items, silent } = await on.admin.call('listInstances', {})
    assert.deepEqual([items.map(({ app }) => app), silent], [['blog'], ['gone']])
  })

  test('one other node if the first has no room or takes the app no more, and no third', async () => {
    const nodes = [await fakeNode('one'), await fakeNode('two'), await fakeNode('three')]
    await using _ended = {
      [Symbol.asyncDispose]: async () => void (await Promise.all(nodes.map(one => one[Symbol.asyncDispose]()))),
    }
    for (const [at, name] of ['one', 'two', 'three'].entries()) await announce(name, nodes[at]!)
    const woken = () => nodes.filter(({ calls }) => calls.includes('wakeInstance plain'))
    const full = new ShadowError('no-memory', 'no room')
    for (const node of nodes) node.failures.set('wakeInstance', full)
    await rejectsWith('no-memory', on.admin.call('wakeApp', { params: { app: 'plain' } }))
    const asked = woken()
    assert.equal(asked.length, 2)
    asked[0]!.failures.clear()
    await on.admin.call('wakeApp', { params: { app: 'plain' } })
    assert.equal(woken().length, 2)
  })

  test('no node that drains, unless it has the app awake', async () => {
    await using one = await fakeNode('one', [instanceView('plain', 'one', 'asleep')])
    await using two = await fakeNode('two')
    await announce('one', one)
    await announce('two', two)
    await on.admin.call('drainNode', { params: { node: 'one' }, body: {} })
    await on.admin.call('wakeApp', { params: { app: 'plain' } })
    assert.deepEqual(
      [one.calls.includes('wakeInstance plain'), two.calls.includes('wakeInstance plain')],
      [false, true],
    )
    one.instances[0] = instanceView('plain', 'one', 'awake')
    await on.admin.call('wakeApp', { params: { app: 'plain' } })
    assert.ok(one.calls.includes('wakeInstance plain'))
  })

  test('for log lines, passed on as they are', async () => {
    const lines = '{"at":"2026-01-01T00:00:00.000Z","stream":"stdout","line":"hello"}\n'
    await using one = await fakeNode('one', [], lines)
    await announce('one', one)
    const { body } = await on.admin.raw('appLogs', { params: { app: 'plain' }, query: { tail: 5 } })
    assert.equal(await text(body), lines)
  })

  test('and says so where there is no node, no such app, or no answer', async () => {
    await rejectsWith('no-node', on.admin.call('wakeApp', { params: { app: 'plain' } }))
    await rejectsWith('app-not-found', on.admin.call('wakeApp', { params: { app: 'nobody' } }))
    await on.admin.call('leaseVolume', { params: { volume: 'blog' }, body: { node: 'never-seen' } })
    await rejectsWith('node-unreachable', on.admin.call('wakeApp', { params: { app: 'blog' } }))
    const gone = await fakeNode('gone')
    await gone[Symbol.asyncDispose]()
    await announce('gone', gone)
    for (const name of ['wakeApp', 'sleepApp', 'getInstance', 'appLogs'] as const)
      await rejectsWith('node-unreachable', on.admin.call(name, { params: { app: 'plain' } }))
  })
})

describe('a node', () => {
  test('that falls silent is listed as gone, and as healthy again once it speaks', async () => {
    const states = async () => (await on.admin.call('listNodes', {})).items.map(({ state }) => state)
    const node = { address: '127.0.0.1:1', key: 'a-key-of-sixteen-or-more' }
    await announce('one', node)
    await clock.advance(NODE_LOST_AFTER - 1)
    assert.deepEqual(await states(), ['healthy'])
    await clock.advance(2)
    assert.deepEqual(await states(), ['gone'])
    await announce('one', node)
    assert.deepEqual(await states(), ['healthy'])
  })

  test('whose name another machine bears is told so while that one lives', async () => {
    const [first, second] = [
      { address: '10.0.0.1:1', key: 'the-key-of-the-first' },
      { address: '10.0.0.2:1', key: 'the-key-of-the-second' },
    ]
    await announce('one', first)
    await rejectsWith('name-taken', announce('one', second))
    await clock.advance(NODE_LOST_AFTER + 1)
    await announce('one', second)
    assert.equal((await on.admin.call('listNodes', {})).items[0]?.address, '10.0.0.2:1')
  })

  test('costs the store one write and no read each time it speaks', async () => {
    const { storage, calls } = countingStorage(await directory({ path }))
    await using counted = await testMaster(storage)
    const body = anAnnouncement()
    const speak = () => counted.admin.call('announceNode', { params: { node: 'two' }, body })
    await speak()
    calls.length = 0
    await speak()
    assert.deepEqual(calls, ['update'])
  })
})
