import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { type FakeNode, fakeNode } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'

let node: FakeNode
let masters: TestMaster[]
let clock: HandClock
let key: string
beforeEach(async () => {
  clock = new HandClock()
  node = await fakeNode('n1')
  const storage = memoryStorage()
  masters = [await testMaster(storage, clock), await testMaster(storage, clock)]
  key = await one().master.token('admin')
  const { address, key: ofNode, controlKey } = node
  const n1 = await one().as('node', 'n1')
  const body = anAnnouncement({ address, key: ofNode, controlKey })
  await n1.call('announceNode', { params: { node: 'n1' }, body })
  const common = { image: 'x', ready: { kind: 'started' }, template: {} } as const
  await one().admin.call('registerApp', { body: { ...common, name: 'base', volume: { size: '16MiB' } } })
  await one().admin.call('registerApp', { body: { ...common, name: 'ann-plain' } })
  await one().admin.call('registerApp', { body: { name: 'ann-app', image: 'x' } })
})
afterEach(async () => {
  await Promise.all(masters.map(master => master[Symbol.asyncDispose]()))
  await node[Symbol.asyncDispose]()
})

const one = (): TestMaster => masters[0] as TestMaster
type Json = Record<string, never> & { [key: string]: never }
/** A call of E2B's API. */
async function ask(
  method: string,
  path: string,
  body?: object,
  headers: Record<string, string> = { 'x-api-key': key },
) {
  const {
    status,
    body: answer,
    headers: got,
  } = await one().http(method, `/e2b${path}`, { token: null, headers, ...(body && { body }) })
  return { status, answer: answer as Json, next: got.get('x-next-token') }
}
const create = async (more: object = {}, of?: string) => {
  const { status, answer } = await ask(
    'POST',
    '/v2/sandboxes',
    { templateID: 'base', ...more },
    { 'x-api-key': of ?? key },
  )
  assert.equal(status, 201, JSON.stringify(answer))
  return answer as unknown as {
    sandboxID: string
    envdAccessToken: string
    trafficAccessToken?: string
    domain: string
  }
}
const owner = async (name: string, ...apps: string[]): Promise<string> =>
  (await one().admin.call('createToken', { body: { name, role: 'owner', apps } })).token
const messageOf = ({ answer }: { answer: Json }): string => String(answer['message'])
const appOf = async (id: string) =>
  (await one().admin.call('getApp', { params: { app: `base--${id}` } })) as {
    paused?: object
    session?: { until?: string; sandbox?: object }
  }

describe('a sandbox', () => {
  test('is a session of a template with metadata and a time-out, and its tokens are stored nowhere', async () => {
    const made = await create({ metadata: { a: '1' }, envVars: { A: 'b' }, timeout: 60 })
    assert.match(made.sandboxID, /^[a-z2-7]{16}$/)
    assert.equal(made.domain, 'base.localhost')
    const app = await one().admin.call('getApp', { params: { app: `base--${made.sandboxID}` } })
    assert.equal(app.session?.until, new Date(clock.wall() + 60_000).toISOString())
    assert.deepEqual(app.task.env, { A: 'b', E2B_SANDBOX: 'true', E2B_TEMPLATE_ID: 'base' })
    for (const token of [made.envdAccessToken, made.trafficAccessToken ?? '']) {
      assert.equal(token.length, 32)
      assert.ok(!JSON.stringify(app).includes(token))
    }
    const { answer } = await ask('GET', `/sandboxes/${made.sandboxID}`)
    assert.deepEqual([answer['state'], answer['metadata'], answer['templateID']], ['running', { a: '1' }, 'base'])
  })

  test('ends when its time-out is over, which can be set anew; to connect never makes it shorter', async () => {
    const { sandboxID: id } = await create({ timeout: 60 })
    assert.equal((await ask('POST', `/v2/sandboxes/${id}/connect`, { timeout: 10 })).status, 200)
    const until = async () => Date.parse((await appOf(id)).session?.until ?? '') - clock.wall()
    assert.equal(await until(), 60_000)
    await ask('POST', `/v2/sandboxes/${id}/connect`, { timeout: 90 })
    assert.equal(await until(), 90_000)
    assert.equal((await ask('POST', `/sandboxes/${id}/refreshes`, { duration: 1 })).status, 204)
    assert.equal(await until(), 90_000)
    assert.equal((await ask('POST', `/sandboxes/${id}/timeout`, { timeout: 5 })).status, 204)
    assert.equal(await until(), 5_000)
    await clock.advance(6_000)
    await expectEventually(async () => (await ask('GET', `/sandboxes/${id}`)).status === 404)
    assert.equal((await ask('DELETE', `/sandboxes/${id}`)).status, 404)
  })

  test('is paused by hand or in time, and a connect resumes it', async () => {
    const { sandboxID: id } = await create({ timeout: 60, autoPause: true })
    assert.equal((await ask('POST', `/sandboxes/${id}/pause`, {})).status, 204)
    assert.equal((await ask('POST', `/sandboxes/${id}/pause`, {})).status, 409)
    assert.equal((await ask('GET', `/sandboxes/${id}`)).answer['state'], 'paused')
    assert.equal((await appOf(id)).session?.until, undefined)
    assert.equal((await ask('POST', `/sandboxes/${id}/timeout`, { timeout: 5 })).status, 409)
    await clock.advance(3_000)
    assert.equal((await ask('POST', `/v2/sandboxes/${id}/connect`, { timeout: 2 })).status, 201)
    assert.equal((await appOf(id)).paused, undefined)
    await clock.advance(3_000)
    await expectEventually(async () => (await ask('GET', `/sandboxes/${id}`)).answer['state'] === 'paused')
    assert.ok(node.calls.includes(`sleepInstance base--${id}`))
  })

  test('whose files would be lost cannot be paused', async () => {
    const { sandboxID: id } = await create({ templateID: 'ann-plain' })
    const refused = await ask('POST', `/sandboxes/${id}/pause`, {})
    assert.equal(refused.status, 400)
    assert.match(messageOf(refused), /no volume/)
    assert.equal((await ask('POST', '/v2/sandboxes', { templateID: 'ann-plain', autoPause: true })).status, 400)
  })

  test('is opened by its own token alone, until all tokens are revoked; a connect then makes others', async () => {
    const made = await create()
    const other = await create()
    const health = async (token?: string, id = made.sandboxID) =>
      (await ask('GET', '/health', undefined, { 'e2b-sandbox-id': id, ...(token && { 'x-access-token': token }) }))
        .status
    assert.equal(await health(made.envdAccessToken), 204)
    for (const token of [undefined, 'x', key, other.envdAccessToken, made.trafficAccessToken])
      assert.equal(await health(token), 401)
    assert.equal(await health(made.envdAccessToken, 'aaaaaaaaaaaaaaaa'), 502)
    await one().admin.call('revokeTokens', { params: { app: 'base' }, body: {} })
    assert.equal(await health(made.envdAccessToken), 401)
    const { answer } = await ask('POST', `/v2/sandboxes/${made.sandboxID}/connect`, {})
    assert.equal(await health(String(answer['envdAccessToken'])), 204)
    assert.equal(await health(made.envdAccessToken), 401)
    assert.equal((await one().http('GET', '/files?path=/a&signature=v1_no', { token: null })).status, 401)
  })
})

describe('the list', () => {
  test('is of running and paused ones, by metadata and template, page by page, the newest first', async () => {
    const ids: string[] = []
    for (const name of ['a', 'b', 'c']) {
      ids.unshift((await create({ metadata: { name, all: 'x y' } })).sandboxID)
      await clock.advance(1_000)
    }
    await ask('POST', `/sandboxes/${ids[1]}/pause`, {})
    const list = async (query: string) => {
      const { answer, next } = await ask('GET', `/v2/sandboxes?${query}`)
      return { ids: (answer as unknown as { sandboxID: string }[]).map(({ sandboxID }) => sandboxID), next }
    }
    assert.deepEqual(await list(''), { ids, next: null })
    assert.deepEqual((await list('order=asc')).ids, ids.toReversed())
    assert.deepEqual((await list('state=paused')).ids, [ids[1]])
    // As clients encode it.
    assert.deepEqual((await list(`metadata=${encodeURIComponent('name=b&all=x%2520y')}`)).ids, [ids[1]])
    assert.deepEqual((await list('metadata=name%3Dno')).ids, [])
    const first = await list('limit=2')
    assert.deepEqual(first.ids, ids.slice(0, 2))
    assert.deepEqual(await list(`limit=2&nextToken=${first.next}`), { ids: ids.slice(2), next: null })
  })
})

describe('an owner', () => {
  test('makes sandboxes of its own templates, and sees and touches nothing of others', async () => {
    const ann = await owner('ann', 'ann-*')
    const { sandboxID: hers } = await create({ templateID: 'ann-plain' }, ann)
    const { sandboxID: others } = await create()
    const as = (method: string, path: string, body?: object) => ask(method, path, body, { 'x-api-key': ann })
    assert.equal((await as('POST', '/v2/sandboxes', { templateID: 'base' })).status, 403)
    assert.equal((await as('POST', '/v2/sandboxes', {})).status, 403)
    const seen = (await as('GET', '/v2/sandboxes')).answer as unknown as { sandboxID: string }[]
    assert.deepEqual(
      seen.map(({ sandboxID }) => sandboxID),
      [hers],
    )
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/metrics'],
      ['DELETE', ''],
      ['POST', '/timeout'],
      ['POST', '/refreshes'],
      ['POST', '/pause'],
      ['POST', '/connect'],
      ['POST', '/snapshots'],
      ['POST', '/fork'],
    ] as const) {
      const body = method === 'POST' ? { timeout: 1 } : undefined
      assert.equal((await as(method, `/sandboxes/${others}${path}`, body)).status, 404, `${method} ${path}`)
    }
    assert.equal((await as('GET', `/snapshots?sandboxID=${others}`)).status, 404)
    assert.deepEqual((await as('GET', '/snapshots')).answer, [])
    assert.equal((await as('DELETE', `/templates/${others}%3Aone`)).status, 404)
    assert.equal((await as('POST', '/v2/sandboxes', { templateID: `${others}:one` })).status, 404)
    assert.ok(!node.calls.some(call => /napshot|forkVolume/.test(call)))
    assert.equal((await ask('GET', `/sandboxes/${others}`)).answer['state'], 'running')
    assert.equal((await as('DELETE', `/sandboxes/${hers}`)).status, 204)
  })

  test('and whoever shows no token, or one of a machine, gets nothing', async () => {
    const front = await one().master.token('proxy')
    assert.equal((await ask('GET', '/v2/sandboxes', undefined, {})).status, 401)
    assert.equal((await ask('GET', '/v2/sandboxes', undefined, { 'x-api-key': 'e2b_no' })).status, 401)
    assert.equal((await ask('GET', '/v2/sandboxes', undefined, { 'x-api-key': front })).status, 403)
  })
})

describe('what Shadow lacks', () => {
  test('is answered by 501 with its name', async () => {
    for (const [method, path] of [
      ['GET', '/templates'],
      ['GET', '/templates/abc'],
      ['POST', '/v3/templates'],
      ['GET', '/volumes'],
      ['GET', '/sandboxes/metrics'],
      ['PUT', '/sandboxes/abc/network'],
    ] as const) {
      const refused = await ask(method, path, method === 'GET' ? undefined : {})
      assert.deepEqual([refused.status, refused.answer['code']], [501, 501], path)
      assert.ok(messageOf(refused).includes(`${method} ${path}`), messageOf(refused))
    }
    for (const [more, name] of [
      [{ network: { denyOut: ['*'] } }, 'network'],
      [{ autoResume: { enabled: true } }, 'autoResume'],
      [{ volumeMounts: [{ name: 'a', path: '/b' }] }, 'volumeMounts'],
      [{ allow_internet_access: false }, 'allow_internet_access'],
    ] as const) {
      const refused = await ask('POST', '/v2/sandboxes', { templateID: 'base', ...more })
      assert.equal(refused.status, 501)
      assert.ok(messageOf(refused).includes(name), messageOf(refused))
    }
    const { sandboxID, envdAccessToken } = await create()
    const headers = { 'e2b-sandbox-id': sandboxID, 'x-access-token': envdAccessToken }
    const rpc = await ask('POST', '/process.Process/Sing', {}, headers)
    assert.deepEqual([rpc.status, rpc.answer['code']], [501, 'unimplemented'])
    assert.equal((await ask('GET', '/envs', undefined, headers)).status, 501)
  })

  test('a template that is not there, or an app that is none, is answered with the command that makes it', async () => {
    const missing = await ask('POST', '/v2/sandboxes', { templateID: 'none' })
    assert.equal(missing.status, 404)
    assert.match(messageOf(missing), /shadow template create none/)
    assert.equal((await ask('POST', '/v2/sandboxes', { templateID: 'ann-app' })).status, 400)
    assert.equal((await ask('POST', '/v2/sandboxes', { templateID: '../etc' })).status, 404)
    assert.equal((await ask('POST', '/v2/sandboxes', { templateID: 'base', timeout: -1 })).status, 400)
  })
})

async function expectEventually(is: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await is()) return
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  assert.fail('it did not become so')
}
