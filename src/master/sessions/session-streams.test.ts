import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import type { InstanceView, WakeStep } from '../../model/instance.ts'
import type { AppName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { type FakeNode, fakeNode, instanceView } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'

let node: FakeNode
let masters: TestMaster[]
let clock: HandClock
let session: AppName
let readers: AbortController
beforeEach(async () => {
  clock = new HandClock()
  readers = new AbortController()
  node = await fakeNode('n1')
  node.isFollowed = true
  const storage = memoryStorage()
  masters = [await testMaster(storage, clock), await testMaster(storage, clock)]
  const { address, key, controlKey } = node
  const n1 = await masters[0]!.as('node', 'n1')
  await n1.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement({ address, key, controlKey }) })
  await admin().call('registerApp', { body: { name: 'editor', image: 'x', template: {} } })
  session = (await admin().call('connectSession', { body: { template: 'editor', key: { name: 'a' } } }))
    .session as AppName
})
afterEach(async () => {
  readers.abort()
  await node[Symbol.asyncDispose]()
  await Promise.all(masters.map(master => master[Symbol.asyncDispose]()))
})

const admin = (): MasterClient => masters[0]!.admin

/** The instance is so from now on, and whoever follows it is told. */
function is(phase: InstanceView['phase'], steps: readonly WakeStep[] = [], more: Partial<InstanceView> = {}): void {
  const lastWake = { ms: 1, steps: Object.fromEntries(steps.map(step => [step, 1])) }
  node.instances.splice(0, 1, { ...instanceView(session, 'n1', phase), lastWake, ...more })
  node.changed()
}

/** The ids of the events, as they come. */
async function follow(lastId?: string, by = admin()): Promise<{ next(count: number): Promise<string[]> }> {
  const { body } = await by.raw('followSession', {
    params: { session },
    signal: readers.signal,
    ...(lastId !== undefined && { headers: { 'last-event-id': lastId } }),
  })
  const lines = ids(body)
  return {
    async next(count) {
      const found: string[] = []
      for (; found.length < count; ) {
        const { value, done } = await lines.next()
        if (done) break
        found.push(value)
      }
      return found
    },
  }
}

async function* ids(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of body) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('id: ')) yield line.slice(4)
  }
}

const ALL = ['1-scheduled', '2-loading', '3-starting', '4-waiting', '5-ready', '6-ending', '7-ended']

describe('the stream of a session', () => {
  test('tells each state as its node tells it, without a tick of the clock', async () => {
    const stream = await follow()
    const seen = await stream.next(1)
    for (const steps of [[], ['create'], ['create', 'start']] as const) {
      is('waking', steps)
      seen.push(...(await stream.next(1)))
    }
    is('awake')
    seen.push(...(await stream.next(1)))
    const asked = node.calls.filter(call => call.startsWith('getInstance')).length
    await admin().call('endSession', { params: { session } })
    seen.push(...(await stream.next(9)))
    assert.deepEqual(seen, ALL)
    assert.ok(asked < 20, `its node was asked ${asked} times`)
  })

  test('tells states that were passed between two looks, and goes on after the last one of a reader, by another master too', async () => {
    is('awake')
    const stream = await follow()
    assert.deepEqual(await stream.next(5), ALL.slice(0, 5))
    const other = await follow('2-loading', masters[1]!.admin)
    assert.deepEqual(await other.next(3), ALL.slice(2, 5))
    const upToDate = await follow('5-ready')
    await admin().call('endSession', { params: { session } })
    assert.deepEqual(await upToDate.next(9), ALL.slice(5))
    assert.deepEqual(await stream.next(9), ALL.slice(5))
    assert.deepEqual(await (await follow()).next(9), ['1-ended'])
    assert.deepEqual(await (await follow('7-ended')).next(9), [])
    assert.deepEqual(await (await follow('nonsense')).next(9), ['1-ended'])
  })

  test('of a session that sleeps and wakes counts on', async () => {
    await admin().call('endSession', { params: { session } })
    await admin().call('setTemplate', { params: { app: 'editor' }, body: { whenIdle: 'sleep' } })
    await admin().call('connectSession', { body: { template: 'editor', key: { name: 'a' } } })
    is('awake')
    const stream = await follow()
    assert.deepEqual(await stream.next(5), ALL.slice(0, 5))
    is('asleep', [], { stoppedBy: 'idle' })
    assert.deepEqual(await stream.next(1), ['6-asleep'])
    is('awake')
    assert.deepEqual(await stream.next(1), ['7-ready'])
    const later = await follow('6-asleep')
    assert.deepEqual(await later.next(1), ['7-ready'])
  })

  test('looks again and again where its node does not let itself be followed', async () => {
    node.isFollowed = false
    const stream = await follow()
    assert.deepEqual(await stream.next(1), ALL.slice(0, 1))
    node.instances.push(instanceView(session, 'n1', 'awake'))
    const next = stream.next(4)
    let isThere = false
    void next.then(() => {
      isThere = true
    })
    while (!isThere) await clock.advance(250)
    assert.deepEqual(await next, ALL.slice(1, 5))
  })

  test('ends with the session that it is of, though another one has its name at once', async () => {
    is('awake')
    const stream = await follow()
    await stream.next(5)
    await admin().call('endSession', { params: { session } })
    await admin().call('connectSession', { body: { template: 'editor', key: { name: 'a' } } })
    assert.deepEqual(await stream.next(9), ALL.slice(5))
  })
})
