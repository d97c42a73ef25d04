import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'vitest'
import type { InstanceView } from '../../model/instance.ts'
import { NOTHING_USED } from '../../model/usage.ts'
import { HandClock } from '../../testing/clock.ts'
import { type FakeNode, fakeNode, instanceView } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { isSigned, webhookReceiver } from '../../testing/webhook-receiver.ts'

/** A master with a node and an app, and a webhook of all events. */
async function setUp(instances: InstanceView[] = []) {
  const clock = new HandClock(Date.parse('2027-01-15T08:00:00Z'))
  const storage = memoryStorage()
  const parts = new AsyncDisposableStack()
  const receiver = parts.use(await webhookReceiver())
  const on = parts.use(await testMaster(storage, clock))
  const node = parts.use(await fakeNode('n1'))
  node.instances.push(...instances)
  const announce = ({ address, key, controlKey }: FakeNode = node) =>
    on.admin.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement({ address, key, controlKey }) })
  await announce()
  await on.admin.call('registerApp', { body: { name: 'blog', image: 'x' } })
  const { secret } = await on.admin.call('addWebhook', { body: { name: 'ops', url: receiver.url } })
  /** A notice may come twice: its receiver may seem to be late by a clock that is moved. */
  const notices = () => [...new Map(receiver.got.map(({ notice }) => [notice.id, notice])).values()]
  /** Moves the clock, and has the node announce itself if it is there. */
  const step = async (isThere = true): Promise<void> => {
    await clock.leap(5_000)
    if (isThere) await announce()
    await wait(2)
  }
  /** Moves the clock until so many notices have come. */
  const until = async (count: number, isThere = true): Promise<void> => {
    while (notices().length < count) await step(isThere)
  }
  /** Moves the clock until the source was read: what comes after that is new. */
  const looked = async (source: string): Promise<void> => {
    const state = async () => (await storage.get('notices/watch.json'))?.value as { looked: string[] } | undefined
    while (!(await state())?.looked.includes(source)) await step()
  }
  const now = () => new Date(clock.wall()).toISOString()
  return {
    receiver,
    notices,
    on,
    node,
    secret,
    announce,
    until,
    looked,
    now,
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

test('a master tells of an instance that crashes, and of one that is stuck', async () => {
  await using world = await setUp()
  const { node, receiver, notices, until, secret, now } = world
  const problem = { type: 'about:blank', title: 'x', status: 502, code: 'app-crashed' as const, detail: 'exit code 3' }
  node.instances.push({ ...instanceView('blog', 'n1', 'crashed'), since: now(), failures: 1, problem })
  await until(1)
  node.instances.splice(0, 1, { ...instanceView('blog', 'n1', 'stuck'), since: now() })
  await until(2)
  assert(receiver.got.every(({ headers, body }) => isSigned(headers, body, secret)))
  assert.deepEqual(
    notices().map(({ id: _, at: __, ...rest }) => rest),
    [
      { kind: 'crash', app: 'blog', node: 'n1', subject: 'blog crashed', detail: 'exit code 3', code: 'app-crashed' },
      { kind: 'stuck', app: 'blog', node: 'n1', subject: 'blog is stuck', detail: 'blog is stuck' },
    ],
  )
})

test('a crash between two looks is told of, though the app is awake again', async () => {
  await using world = await setUp([instanceView('blog', 'n1', 'awake')])
  const { node, notices, until, looked } = world
  await looked('instance')
  node.instances.splice(0, 1, { ...instanceView('blog', 'n1', 'awake'), failures: 2 })
  await until(1)
  assert.deepEqual([notices()[0]?.subject, notices()[0]?.times], ['blog crashed', 2])
})

test('a master tells of a node that is lost, and when it is back', async () => {
  await using world = await setUp()
  const { until, announce, notices } = world
  await until(1, false)
  await announce()
  await until(2)
  assert.deepEqual(
    notices().map(({ subject }) => subject),
    ['the node n1 is lost', 'the node n1 is back'],
  )
})

test('a master tells of a budget that is nearly spent, and again when it is spent', async () => {
  await using world = await setUp()
  const { on, until, notices, looked } = world
  await looked('budget')
  await on.admin.call('setBudget', { params: { kind: 'app', name: 'blog' }, body: { requests: 100 } })
  const report = async (requests: number): Promise<void> => {
    const used = { ...NOTHING_USED, requests }
    const body = { counter: '7d444840-9dc0-11d1-b245-5ffdce74fad2', apps: [{ day: '2027-01-15', app: 'blog', used }] }
    await (await on.as('node')).call('reportUsage', { params: { node: 'n1' }, body })
  }
  await report(85)
  await until(1)
  await report(100)
  await until(2)
  assert.deepEqual(
    notices().map(({ subject }) => subject),
    ['the budget of blog is nearly spent', 'the budget of blog is spent'],
  )
  assert.equal(notices()[1]?.detail, '100 % of the budget for 2027-01: 100 of 100 requests')
  assert.equal(notices()[1]?.code, 'budget-spent')
})
