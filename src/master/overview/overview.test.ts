import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import type { OverviewEvent } from '../../api/overview-calls.ts'
import { isFailure } from '../../lib/errors.ts'
import { readEvents } from '../../lib/http/api/events.ts'
import type { InstanceView } from '../../model/instance.ts'
import type { AppRow } from '../../model/overview.ts'
import { HandClock } from '../../testing/clock.ts'
import { type FakeNode, fakeNode, instanceView } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import type { Storage } from '../storage/storage.ts'

let storage: Storage
let clock: HandClock
let on: TestMaster
let node: FakeNode
beforeEach(async () => {
  storage = memoryStorage()
  clock = new HandClock()
  on = await testMaster(storage, clock)
  node = await fakeNode('n1')
  await announce('n1', node)
})
afterEach(async () => {
  await on[Symbol.asyncDispose]()
  await node[Symbol.asyncDispose]()
})

const announce = (name: string, { address, key, controlKey }: FakeNode) =>
  on.admin.call('announceNode', { params: { node: name }, body: anAnnouncement({ address, key, controlKey }) })

const register = (name: string, more: object = {}) =>
  on.admin.call('registerApp', { body: { name, image: 'x', ...more } })

const put = (app: string, phase: InstanceView['phase'], more: Partial<InstanceView> = {}): void => {
  const at = node.instances.findIndex(one => one.app === app)
  node.instances.splice(at < 0 ? node.instances.length : at, 1, { ...instanceView(app, 'n1', phase), ...more })
}

const page = (query: object = {}, client: MasterClient = on.admin) => client.call('getOverview', { query })
const names = async (query: object, client?: MasterClient): Promise<string[]> =>
  (await page(query, client)).items.map(({ app }) => app)

/** What a page is sent: `until` reads on, and moves the clock, until there is such an event. */
async function follow(client: MasterClient = on.admin, query: object = {}) {
  const left = new AbortController()
  const { body } = await client.raw('followOverview', { query, signal: left.signal })
  const events: OverviewEvent[] = []
  const reading = (async () => {
    for await (const event of readEvents(body)) events.push(event as OverviewEvent)
  })().catch(() => undefined) // the test has left
  return {
    events,
    async until<T>(find: (event: OverviewEvent) => T | undefined): Promise<T> {
      for (;;) {
        const found = events.map(find).find(one => one !== undefined)
        if (found !== undefined) return found
        await clock.advance(100)
        await new Promise(setImmediate)
      }
    },
    async [Symbol.asyncDispose]() {
      left.abort()
      await reading
    },
  }
}
const rowThat =
  (is: (row: AppRow) => boolean) =>
  (event: OverviewEvent): AppRow | undefined =>
    'rows' in event ? event.rows.find(is) : undefined

describe('a page of apps', () => {
  test('has for each app its phase, since when and why, its node, its URL and its volume', async () => {
    await register('blog', { volume: { size: '1GiB' }, domains: ['blog.example.com'] })
    await register('shop')
    const use = { kind: 'request', what: 'GET /film from 203.0.113.7', since: new Date(0).toISOString() } as const
    const volume = { usedBytes: 5, sizeBytes: 1000, onDiskBytes: 7 }
    put('blog', 'awake', { wokenBy: 'GET / from 203.0.113.7', holds: [use], volume })
    const { items, total, counts, nodes } = await page()
    assert.deepEqual(items[0], {
      app: 'blog',
      owner: null,
      phase: 'awake',
      isPaused: false,
      isParked: false,
      since: new Date(0).toISOString(),
      node: 'n1',
      instances: 1,
      awake: 1,
      url: 'http://blog.example.com/',
      sleepsAt: null,
      because: '1 use keeps it awake: request GET /film from 203.0.113.7.',
      lastCause: 'It was woken by GET / from 203.0.113.7.',
      revision: 1,
      volume: { sizeBytes: 1000, usedBytes: 5 },
      problem: null,
      month: { awakeSeconds: 0, cost: null, alwaysOnCost: null },
    })
    assert.deepEqual([items[1]?.phase, items[1]?.because, items[1]?.node], ['asleep', 'Nobody has used it yet.', null])
    assert.deepEqual([total, counts.all, counts.awake, counts.asleep, counts.problem, nodes], [2, 2, 1, 1, 0, ['n1']])
  })

  test('tells which apps are parked: they are asleep for all else, and are found by that', async () => {
    for (const name of ['blog', 'shop']) await register(name)
    put('blog', 'asleep', { parked: true })
    put('shop', 'asleep')
    const { items, counts } = await page()
    assert.deepEqual(
      items.map(({ app, phase, isParked }) => [app, phase, isParked]),
      [
        ['blog', 'asleep', true],
        ['shop', 'asleep', false],
      ],
    )
    assert.deepEqual([counts.parked, counts.asleep], [1, 2])
    assert.deepEqual(await names({ phase: 'parked' }), ['blog'])
    assert.deepEqual(await names({ phase: 'asleep' }), ['blog', 'shop'])
  })

  test('is found by a part of name, domain, owner and node, and by phase', async () => {
    for (const name of ['ann-blog', 'bob-shop', 'zoe']) await register(name)
    await on.admin.call('updateApp', { params: { app: 'zoe' }, body: { domains: ['www.Blogs.example'] } })
    await on.admin.call('createToken', { body: { name: 'robert', role: 'owner', apps: ['bob-*'] } })
    put('zoe', 'crashed', { failures: 2, problem: { code: 'app-crashed', detail: 'no\nmore' } as never })
    assert.deepEqual(await names({ search: 'BLOG' }), ['ann-blog', 'zoe'])
    assert.deepEqual(await names({ search: 'robe' }), ['bob-shop'])
    assert.deepEqual(await names({ owner: 'robert' }), ['bob-shop'])
    assert.deepEqual(await names({ search: 'n1' }), ['zoe'])
    assert.deepEqual(await names({ node: 'n1' }), ['zoe'])
    assert.deepEqual(await names({ phase: 'problem' }), ['zoe'])
    assert.deepEqual(await names({ phase: 'asleep', search: '' }), ['ann-blog', 'bob-shop'])
    const [zoe] = (await page({ phase: 'crashed' })).items
    assert.deepEqual([zoe?.because, zoe?.problem?.detail], ['It failed 2 times in a row.', 'no'])
    assert.deepEqual((await page()).owners, ['robert'])
  })

  test('leaves sessions out unless they are asked for, and counts them apart', async () => {
    await register('blog')
    await register('editor', { template: {} })
    const { session } = await on.admin.call('connectSession', { body: { template: 'editor' } })
    assert.deepEqual(await names({}), ['blog', 'editor'])
    assert.deepEqual(await names({ search: 'editor' }), ['editor'])
    assert.deepEqual(await names({ phase: 'session' }), [session])
    assert.deepEqual(await names({ search: session }), [session])
    const { counts } = await page()
    assert.deepEqual([counts.all, counts.session], [2, 1])
  })

  test('is in any order, one page after the other; apps without a value come last', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await register(name, name === 'b' ? { volume: { size: '1GiB' } } : {})
    put('c', 'awake', { since: '2026-11-21T11:57:00Z' })
    put('a', 'asleep', { since: '2026-11-21T11:58:00Z' })
    assert.deepEqual(await names({ sort: 'name', order: 'desc' }), ['d', 'c', 'b', 'a'])
    assert.deepEqual(await names({ sort: 'phase' }), ['c', 'a', 'b', 'd'])
    assert.deepEqual(await names({ sort: 'since' }), ['c', 'a', 'b', 'd'])
    assert.deepEqual(await names({ sort: 'since', order: 'desc' }), ['a', 'c', 'b', 'd'])
    assert.deepEqual(await names({ sort: 'volume', order: 'desc' }), ['b', 'a', 'c', 'd'])
    const second = await page({ offset: 1, limit: 2 })
    assert.deepEqual([second.items.map(({ app }) => app), second.total], [['b', 'c'], 4])
  })

  test('has what each app costs this month beside always on, and is in that order', async () => {
    await on[Symbol.asyncDispose]()
    const settings = {
      SHADOW_SECRETS_KEY: Buffer.alloc(32, 7).toString('base64'),
      SHADOW_PRICES: 'currency=EUR,awake-hour=2',
    }
    on = await testMaster(storage, clock, settings)
    for (const name of ['a', 'b']) await register(name)
    const used = {
      awakeSeconds: 1800,
      memoryGiBSeconds: 0,
      cpuSeconds: 0,
      volumeGiBHours: 0,
      backupGiBHours: 0,
      requests: 0,
      egressBytes: 0,
    }
    const day = new Date(clock.wall()).toISOString().slice(0, 10)
    const body = { counter: '7d444840-9dc0-11d1-b245-5ffdce74fad2', apps: [{ day, app: 'b', used }] }
    await on.admin.call('reportUsage', { params: { node: 'n1' }, body })
    await clock.advance(3_600_000)
    const { items, currency } = await page({ sort: 'cost', order: 'desc' })
    assert.equal(currency, 'EUR')
    assert.deepEqual(
      items.map(({ app, month }) => [app, month]),
      [
        ['b', { awakeSeconds: 1800, cost: 1, alwaysOnCost: 2 }],
        ['a', { awakeSeconds: 0, cost: 0, alwaysOnCost: 2 }],
      ],
    )
  })

  test('of an owner has its own apps alone, in counts and owners too', async () => {
    for (const name of ['ann-blog', 'bob-shop']) await register(name)
    put('bob-shop', 'awake')
    const { token } = await on.admin.call('createToken', { body: { name: 'ann', role: 'owner', apps: ['ann-*'] } })
    await on.admin.call('createToken', { body: { name: 'bob', role: 'owner', apps: ['bob-*'] } })
    const ann = on.client(token)
    const { items, total, counts, owners, nodes } = await page({}, ann)
    assert.deepEqual(
      items.map(({ app }) => app),
      ['ann-blog'],
    )
    assert.deepEqual([total, counts.all, counts.awake, owners, nodes], [1, 1, 0, ['ann'], []])
    assert.deepEqual(await names({ search: 'bob' }, ann), [])
    await assert.rejects(ann.raw('followOverview', { query: { app: 'bob-shop' } }), error =>
      isFailure(error, 'forbidden'),
    )
    await using live = await follow(ann)
    put('ann-blog', 'waking')
    put('bob-shop', 'asleep')
    await live.until(rowThat(({ app }) => app === 'ann-blog'))
    assert.equal(JSON.stringify(live.events).includes('bob'), false)
  })
})

describe('an open page', () => {
  test('begins with the counts, and is sent the rows that change, and what is removed', async () => {
    for (const name of ['blog', 'shop']) await register(name)
    await using live = await follow()
    const first = await live.until(event => ('counts' in event ? event : undefined))
    assert.deepEqual([first.counts.all, first.silent], [2, []])
    put('blog', 'waking', { wokenBy: 'GET /', waiting: 2 })
    const row = await live.until(rowThat(({ app }) => app === 'blog'))
    assert.deepEqual([row.phase, row.because], ['waking', '2 requests wait for it.'])
    await live.until(event => ('counts' in event && event.counts.waking === 1 ? true : undefined))
    await register('new')
    await live.until(rowThat(({ app }) => app === 'new'))
    await on.admin.call('removeApp', { params: { app: 'shop' } })
    assert.deepEqual(await live.until(event => ('removed' in event ? event.removed : undefined)), ['shop'])
    assert.deepEqual(await names({}), ['blog', 'new'])
    assert.equal(
      live.events.some(event => 'rows' in event && event.rows.some(({ app }) => app === 'shop')),
      false,
    )
  })

  test('of one app is sent that app alone', async () => {
    for (const name of ['blog', 'shop']) await register(name)
    await using live = await follow(on.admin, { app: 'blog' })
    put('shop', 'waking')
    put('blog', 'waking')
    await live.until(rowThat(({ app }) => app === 'blog'))
    assert.equal(JSON.stringify(live.events).includes('shop'), false)
  })

  test('is sent within seconds what was changed through another master', async () => {
    await register('blog')
    await using other = await testMaster(storage, clock)
    await using live = await follow()
    await other.admin.call('updateApp', { params: { app: 'blog' }, body: { domains: ['new.example'] } })
    const before = clock.now()
    const row = await live.until(rowThat(({ app }) => app === 'blog'))
    assert.equal(row.url, 'http://new.example/')
    assert.ok(clock.now() - before <= 2_000)
  })

  test('is told of a node that does not answer, whose apps are unknown until it is back', async () => {
    await register('blog')
    put('blog', 'awake', { sleepsAt: '2026-11-21T11:58:00Z' })
    await using live = await follow()
    node.failures.set('listSummaries', new Error('away') as never)
    const row = await live.until(rowThat(({ phase }) => phase === 'unknown'))
    assert.deepEqual([row.node, row.awake, row.sleepsAt, row.because], ['n1', 0, null, 'Its node n1 does not answer.'])
    await live.until(event => ('silent' in event && event.silent.includes('n1' as never) ? true : undefined))
    assert.deepEqual((await page({ phase: 'unknown' })).silent, ['n1'])
    node.failures.clear()
    await live.until(rowThat(({ phase }) => phase === 'awake'))
  })
})

test('looking wakes nothing, and asks nodes for lists alone', async () => {
  await register('blog')
  node.calls.length = 0
  await using live = await follow()
  await page()
  await live.until(event => ('counts' in event ? true : undefined))
  assert.deepEqual([...new Set(node.calls)], ['listSummaries'])
})
