import assert from 'node:assert/strict'
import { afterAll, beforeAll, test } from 'vitest'
import type { AppEvent } from '../../src/model/timeline.ts'
import { isCode, Shadow } from '../tools/shadow.ts'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
})
afterAll(() => shadow[Symbol.asyncDispose]())

const timeline = async (app: string, query: { kind?: string; limit?: number; before?: string } = {}) =>
  shadow.admin.call('getTimeline', { params: { app }, query })
/** The events of an app, the oldest first. */
const eventsOf = async (app: string): Promise<AppEvent[]> => (await timeline(app)).items.toReversed()
const said = ({ kind, by, outcome }: AppEvent): string => [kind, by, outcome].filter(Boolean).join(' ')

test('one timeline has the wakes, sleeps, crashes, releases and snapshots of an app in their order, through a restart of its node', async () => {
  await shadow.register('blog', { volume: { size: '16MiB' }, sleep: { idleAfter: '5m' } })
  assert.equal((await shadow.ask('blog', '/')).status, 200)
  shadow.clock.leap(301_000)
  await shadow.until('blog', 'asleep')
  await shadow.ask('blog', '/')
  await shadow.ask('blog', '/die?code=3')
  await shadow.until('blog', 'crashed')
  await shadow.admin.call('takeSnapshot', { params: { volume: 'blog' }, body: { name: 'monday' } })

  await shadow.stop()
  await shadow.startAgain()
  await shadow.ask('blog', '/')
  const query = { by: 'deploy' as const, note: 'commit 1234' }
  await shadow.admin.call('updateApp', { params: { app: 'blog' }, query, body: { env: { COLOUR: 'red' } } })
  await shadow.until('blog', ({ phase, revision }) => phase === 'awake' && revision === 2)
  await shadow.sleep('blog')
  await shadow.admin.call('rollbackApp', { params: { app: 'blog' }, body: { to: 1 } })
  await shadow.admin.call('restoreVolume', { params: { volume: 'blog' }, body: { snapshot: 'monday' } })

  const events = await eventsOf('blog')
  assert.deepEqual(
    events.map(({ kind }) => kind).filter(kind => kind !== 'problem'),
    [
      ...['deploy', 'wake', 'sleep', 'wake', 'crash', 'snapshot', 'wake'],
      ...['deploy', 'wake', 'sleep', 'rollback', 'snapshot', 'restore'],
    ],
    events.map(said).join('\n'),
  )
  const [, woken, idle, , crash, snapshot, again, deploy, released, asked, rollback] = events
  assert.match(woken?.by ?? '', /^GET \/ from /)
  assert.deepEqual([woken?.outcome, woken?.revision, woken?.node], ['ok', 1, shadow.node])
  const steps = woken?.steps ?? []
  assert.ok(steps.length >= 6 && steps.every(({ startMs, ms }) => startMs >= 0 && ms >= 0), JSON.stringify(steps))
  const start = steps.find(({ step }) => step === 'start')
  const attach = steps.find(({ step }) => step === 'attach')
  assert.ok(
    (start?.startMs ?? 0) >= (attach?.startMs ?? 0) + (attach?.ms ?? 0) - 1,
    'the container starts with its volume',
  )
  assert.deepEqual([idle?.by, idle?.outcome], ['idle', 'ok'])
  assert.equal(crash?.code, 'app-crashed')
  assert.match(crash?.detail ?? '', /exit code 3.*; its last lines:\n.*listens on/s)
  assert.match(snapshot?.detail ?? '', /^monday/)
  assert.equal(again?.outcome, 'ok')
  assert.deepEqual([deploy?.revision, deploy?.detail], [2, 'commit 1234'])
  assert.equal(deploy?.by, 'admin')
  assert.deepEqual([released?.by, released?.revision], ['release 2', 2])
  assert.deepEqual([asked?.by, rollback?.detail], ['asked', 'to release 1'])
  assert.deepEqual([events.at(-1)?.detail, events.at(-1)?.outcome], ['the snapshot monday', 'ok'])
  assert.equal((await shadow.instance('blog')).phase, 'asleep', 'nothing was woken to tell it')

  const paged: AppEvent[] = []
  for (let before: string | undefined; ; ) {
    const { items, next } = await timeline('blog', { limit: 3, ...(before !== undefined && { before }) })
    paged.push(...items)
    if (next === null) break
    before = next
  }
  assert.deepEqual(paged.toReversed(), events)
  const crashes = await timeline('blog', { kind: 'crash,rollback' })
  assert.deepEqual(
    crashes.items.map(({ kind }) => kind),
    ['rollback', 'crash'],
  )
})

test('what an app was given and used is measured while it is awake, and kept over a restart', async () => {
  await shadow.register('shop', { sleep: { idleAfter: 'never' } })
  for (let sent = 0; sent < 5; sent++) await shadow.ask('shop', '/')
  assert.equal((await shadow.ask('shop', '/status?code=503')).status, 503)
  await shadow.ask('shop', '/cut')
  await shadow.pass(20_000)
  const series = async () => shadow.admin.call('getSeries', { params: { app: 'shop' } })
  const sum = (values: readonly (number | null)[]): number => values.reduce<number>((all, one) => all + (one ?? 0), 0)
  const before = await series()
  assert.deepEqual([sum(before.requests), sum(before.errors)], [7, 2])
  assert.ok(sum(before.p50Ms) > 0 && sum(before.p95Ms) >= sum(before.p50Ms))
  assert.ok(sum(before.memoryBytes) > 2 ** 20, 'a Node process takes more than a megabyte')
  assert.ok(sum(before.cpuPercent) > 0 && sum(before.awake) > 0)
  const { times, ...values } = before
  for (const array of Object.values(values))
    if (Array.isArray(array)) assert.ok([0, times.length].includes(array.length))
  assert.ok(before.requests.includes(null), 'nothing was measured before it was there')

  await shadow.stop()
  await shadow.startAgain()
  await shadow.until('shop', 'awake')
  assert.equal(sum((await series()).requests), 7)
  const { items } = await shadow.admin.call('getActivity', { query: { apps: 'shop,blog' } })
  assert.deepEqual(
    items.map(({ app, hours }) => [app, hours.length]),
    [
      ['shop', 168],
      ['blog', 168],
    ],
  )
  assert.ok(sum(items[0]?.hours ?? []) > 0)
})

test('an owner sees the history of its own apps, and a removed app leaves none', async () => {
  const { token } = await shadow.admin.call('createToken', { body: { name: 'ann', role: 'owner', apps: ['shop'] } })
  const { masterClient } = await import('../../src/api/client.ts')
  const ann = masterClient({ url: shadow.up.masterUrl, token, withinMs: 30_000 })
  assert.ok((await ann.call('getTimeline', { params: { app: 'shop' } })).items.length > 0)
  await assert.rejects(ann.call('getTimeline', { params: { app: 'blog' } }), isCode('forbidden'))
  await assert.rejects(ann.call('getSeries', { params: { app: 'blog' } }), isCode('forbidden'))
  await assert.rejects(ann.call('getActivity', { query: { apps: 'shop,blog' } }), isCode('forbidden'))

  await shadow.admin.call('removeApp', { params: { app: 'shop' } })
  await shadow.register('shop')
  const kinds = async () => (await timeline('shop')).items.map(({ kind }) => kind)
  await shadow.eventually(async () => {
    const { requests } = await shadow.admin.call('getSeries', { params: { app: 'shop' } })
    return requests.every(count => count === null)
  })
  assert.deepEqual(await kinds(), ['deploy'])
})
