import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { newSealKey, Seals, sealKeys } from '../../lib/seals.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import { NOTICE_EVENTS } from '../../model/notice.ts'
import type { AppPattern } from '../../model/scope.ts'
import { HandClock } from '../../testing/clock.ts'
import { countingStorage } from '../../testing/counting-storage.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import { isSigned, webhookReceiver, withStatus } from '../../testing/webhook-receiver.ts'
import { Notices } from './notices.ts'
import { noticeQueues } from './queues.ts'
import type { Condition, Source } from './source.ts'
import { type Webhook, webhookRecords } from './webhooks.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND

const crash = (app: string, mark: string, more: Partial<Condition> = {}): Condition => ({
  key: `fake ${app}`,
  mark,
  at: undefined,
  kind: 'crash',
  app: app as AppName,
  subject: `${app} crashed`,
  detail: `${app} ended with exit code 3`,
  code: 'app-crashed',
  ...more,
})

let clock: HandClock
let receives: Awaited<ReturnType<typeof webhookReceiver>>
beforeEach(async () => {
  clock = new HandClock()
  receives = await webhookReceiver()
})
afterEach(() => receives[Symbol.asyncDispose]())

/** Masters on one store, which all see the same conditions. */
function setUp(masters = 1) {
  const { storage, calls } = countingStorage(memoryStorage())
  const seals = new Seals(sealKeys(newSealKey()))
  const ending = new AbortController()
  const wrong: { conditions: Condition[]; looks: number } = { conditions: [], looks: 0 }
  const source: Source = {
    name: 'fake',
    everyMs: SECOND,
    async look() {
      wrong.looks++
      return { conditions: wrong.conditions }
    },
  }
  const records = webhookRecords({ storage, seals, clock })
  const queues = noticeQueues(storage)
  const all = Array.from(
    { length: masters },
    () => new Notices({ storage, webhooks: records, queues, sources: [source], clock, log: noLog }),
  )
  const tick = async (of: readonly Notices[] = all): Promise<void> => {
    await Promise.all(of.map(one => one.tick(ending.signal)))
    await Promise.all(of.map(one => one.settled()))
  }
  const pass = async (ms: number, of?: readonly Notices[]): Promise<void> => {
    clock.pause(ms)
    await tick(of)
  }
  const add = async (more: Partial<Webhook> = {}): Promise<Webhook> => {
    const given = { name: 'ops', url: receives.url, events: [...NOTICE_EVENTS], apps: null, ...more }
    const added = await records.add(given)
    for (const one of all) one.changed()
    return added
  }
  /** With a webhook, whose masters have seen that nothing is wrong. */
  const ready = async (more?: Partial<Webhook>): Promise<Webhook> => {
    const webhook = await add(more)
    await tick()
    return webhook
  }
  return { storage, calls, records, queues, all, wrong, ending, add, ready, tick, pass }
}

const details = (): string[] => receives.got.map(({ notice }) => notice.detail)

describe('a notice', () => {
  test('is signed as Standard Webhooks says, and only the right secret verifies it', async () => {
    const { ready, wrong, pass } = setUp()
    const { secret } = await ready()
    wrong.conditions = [crash('blog', 'one', { node: 'n1' as NodeName })]
    await pass(SECOND)
    const [got] = receives.got
    assert(got !== undefined && receives.got.length === 1)
    const { id, at, ...rest } = got.notice
    assert.deepEqual(rest, {
      kind: 'crash',
      app: 'blog',
      node: 'n1',
      subject: 'blog crashed',
      detail: 'blog ended with exit code 3',
      code: 'app-crashed',
    })
    assert.equal(got.headers['webhook-id'], id)
    assert.equal(got.headers['webhook-timestamp'], String(Math.floor(clock.wall() / 1_000)))
    assert.equal(Date.parse(at), clock.wall())
    assert.equal(isSigned(got.headers, got.body, secret), true)
    assert.equal(isSigned(got.headers, got.body, `whsec_${Buffer.alloc(32, 1).toString('base64')}`), false)
    assert.equal(isSigned(got.headers, got.body.replace('blog', 'shop'), secret), false)
    assert.equal(isSigned({ ...got.headers, 'webhook-timestamp': '1' }, got.body, secret), false)
  })

  test('is for webhooks that want its kind and its app, and that were there when it happened', async () => {
    const { add, tick, wrong, pass } = setUp()
    await add({ name: 'ann', apps: ['ann-*' as AppPattern], url: `${receives.url}/ann` })
    await add({ name: 'nodes', events: ['node'], url: `${receives.url}/nodes` })
    await tick()
    const before = new Date(clock.wall() - 10 * MINUTE).toISOString()
    wrong.conditions = [
      crash('blog', 'one'),
      crash('ann-shop', 'one'),
      crash('ann-old', 'one', { at: before }),
      crash('n1', 'x', { kind: 'node', app: undefined, subject: 'the node n1 is lost' }),
    ]
    await pass(SECOND)
    const sent = receives.got.map(({ path, notice }) => `${path} ${notice.subject}`).sort()
    assert.deepEqual(sent, [
      '/hook/ann ann-shop crashed',
      '/hook/ann the node n1 is lost',
      '/hook/nodes the node n1 is lost',
    ])
  })

  test('is not sent of what was wrong before, of what goes on, and of what has ended', async () => {
    const { add, wrong, pass, tick } = setUp()
    wrong.conditions = [crash('blog', 'one')]
    await add()
    await tick()
    wrong.conditions = [crash('blog', 'one'), crash('shop', 'one')]
    await pass(SECOND)
    await pass(SECOND)
    wrong.conditions = []
    await pass(SECOND)
    assert.deepEqual(details(), ['shop ended with exit code 3'])
  })
})

describe('a receiver', () => {
  for (const [what, answer, why] of [
    ['that fails', withStatus(500), 'status 500: said'],
    [
      'that redirects',
      withStatus(302, { location: '/elsewhere' }),
      'status 302: redirects are not followed: /elsewhere',
    ],
    ['that closes the connection', (request: IncomingMessage) => void request.socket.destroy(), 'socket hang up'],
  ] as const)
    test(`${what} is tried again after growing pauses, with the same id`, async () => {
      const { ready, wrong, pass, queues } = setUp()
      const webhook = await ready()
      receives.answers.push(answer, answer)
      wrong.conditions = [crash('blog', 'one')]
      await pass(SECOND)
      assert.equal(receives.got.length, 1)
      assert.equal((await queues.read(webhook)).lastFailure?.why, why)
      await pass(4 * SECOND)
      assert.equal(receives.got.length, 1)
      await pass(SECOND)
      assert.equal(receives.got.length, 2)
      await pass(9 * SECOND)
      assert.equal(receives.got.length, 2)
      assert.equal((await queues.read(webhook)).items.length, 1)
      await pass(SECOND)
      assert.equal(receives.got.length, 3)
      assert.equal(new Set(receives.got.map(({ notice }) => notice.id)).size, 1)
      assert(
        receives.got.every(({ headers, body, path }) => isSigned(headers, body, webhook.secret) && path === '/hook'),
      )
      const { items, lastSuccess } = await queues.read(webhook)
      assert.deepEqual([items, lastSuccess], [[], new Date(clock.wall()).toISOString()])
    })

  test('that does not answer keeps no other one waiting, and is tried again after ten seconds', async () => {
    const { add, all, wrong, pass, tick, queues, ending } = setUp()
    const slow = await add({ url: `${receives.url}/slow` })
    const other = await add({ name: 'other' })
    await tick()
    receives.answers.push((request, response) => (request.url === '/hook/slow' ? undefined : response.end()))
    receives.answers.push((request, response) => (request.url === '/hook/slow' ? undefined : response.end()))
    wrong.conditions = [crash('blog', 'one')]
    clock.pause(SECOND)
    await all[0]?.tick(ending.signal)
    await receives.came(2)
    while ((await queues.read(other)).items.length > 0) await new Promise(setImmediate) // its answer is on its way
    await clock.advance(10 * SECOND)
    await all[0]?.settled()
    assert.equal((await queues.read(slow)).lastFailure?.why, 'no answer within 10 s')
    assert.deepEqual((await queues.read(other)).items, [])
    await pass(5 * SECOND)
    assert.deepEqual(receives.got.map(({ path }) => path).sort(), ['/hook', '/hook/slow', '/hook/slow'])
    assert.deepEqual((await queues.read(slow)).items, [])
  })

  test('that takes nothing for a day is given up', async () => {
    const { ready, wrong, pass, queues } = setUp()
    const webhook = await ready()
    for (let n = 0; n < 60; n++) receives.answers.push(withStatus(503))
    wrong.conditions = [crash('blog', 'one')]
    for (let hour = 0; hour < 27; hour++) await pass(60 * MINUTE)
    const { items, dropped } = await queues.read(webhook)
    assert.deepEqual([items, dropped], [[], 1])
    const tries = receives.got.length
    await pass(120 * MINUTE)
    assert.equal(receives.got.length, tries)
  })
})

describe('several masters', () => {
  test('send each notice once', async () => {
    const { ready, wrong, pass } = setUp(4)
    await ready()
    for (let n = 0; n < 5; n++) {
      wrong.conditions = [...wrong.conditions, crash(`app-${n}`, 'one')]
      await pass(SECOND)
    }
    assert.deepEqual(
      receives.got.map(({ notice }) => notice.app),
      ['app-0', 'app-1', 'app-2', 'app-3', 'app-4'],
    )
  })

  test('go on for one that has died: what waits is sent, and nothing is told twice', async () => {
    const { add, all, wrong, pass } = setUp(2)
    await add()
    const [first, second] = all.map(one => [one])
    await pass(0, first)
    receives.answers.push(withStatus(500))
    wrong.conditions = [crash('blog', 'one')]
    await pass(SECOND, first)
    for (let passed = 0; passed < 30; passed += 5) await pass(5 * SECOND, second)
    assert.equal(receives.got.length, 1, 'the first master may still be there')
    for (let passed = 0; passed < 30; passed += 5) await pass(5 * SECOND, second)
    assert.deepEqual(details(), ['blog ended with exit code 3', 'blog ended with exit code 3'])
    assert.equal(receives.got[0]?.notice.id, receives.got[1]?.notice.id)
    // The first one was only paused, and finds that another one watches.
    wrong.conditions = [crash('blog', 'one'), crash('shop', 'one')]
    await pass(SECOND, first)
    await pass(SECOND)
    await pass(SECOND)
    assert.deepEqual(
      receives.got.slice(2).map(({ notice }) => notice.app),
      ['shop'],
    )
  })
})

test('an app that crashes again and again is told of once, then with how often in ten minutes', async () => {
  const { ready, wrong, pass } = setUp()
  await ready()
  for (let n = 0; n < 9; n++) {
    wrong.conditions = [crash('blog', `${n}`, { detail: `run ${n} ended` }), crash('shop', 'one')]
    await pass(MINUTE)
  }
  assert.deepEqual(details(), ['run 0 ended', 'shop ended with exit code 3'])
  await pass(MINUTE)
  assert.equal(details().length, 2)
  await pass(MINUTE)
  assert.deepEqual(details().slice(2), ['8 times in 10m; the last time: run 8 ended'])
  assert.equal(receives.got[2]?.notice.times, 8)
  wrong.conditions = []
  await pass(11 * MINUTE)
  wrong.conditions = [crash('blog', 'later')]
  await pass(SECOND)
  assert.deepEqual(details().slice(3), ['blog ended with exit code 3'])
})

test('a webhook that is removed gets nothing that waits, also if one of its name is made again', async () => {
  const { ready, records, queues, all, wrong, pass, add } = setUp()
  await ready()
  receives.answers.push(withStatus(500))
  wrong.conditions = [crash('blog', 'one')]
  await pass(SECOND)
  await records.remove('ops')
  await pass(10 * SECOND) // the master has not heard of it
  assert.equal(receives.got.length, 1)
  for (const one of all) one.changed()
  clock.pause(MINUTE)
  const again = await add()
  await pass(MINUTE)
  assert.equal(receives.got.length, 1)
  assert.deepEqual((await queues.read(again)).items, [])
})

test('without a webhook nothing is looked at, and the store is read every ten minutes only', async () => {
  const { wrong, pass, calls, storage, ready, records, all } = setUp()
  await pass(SECOND)
  calls.length = 0
  for (let n = 0; n < 60; n++) await pass(SECOND)
  assert.deepEqual([calls, wrong.looks], [[], 0])
  await ready()
  await pass(SECOND)
  assert(wrong.looks > 0)
  await records.remove('ops')
  for (const one of all) one.changed()
  await pass(SECOND)
  assert.deepEqual(await storage.list(''), [])
  calls.length = 0
  const { looks } = wrong
  for (let n = 0; n < 60; n++) await pass(SECOND)
  assert.deepEqual([calls, wrong.looks], [[], looks])
})
