import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import type { MasterClient } from '../api/client.ts'
import { permitHeaders } from '../api/paths.ts'
import { isFailure, type Problem } from '../lib/errors.ts'
import { HandClock } from '../testing/clock.ts'
import { anAnnouncement } from '../testing/front.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-roles-'))
const clock = new HandClock()
let on: TestMaster
let front: MasterClient
let n1: MasterClient
let n2: MasterClient
beforeAll(async () => {
  on = await testMaster(await directory({ path }), clock)
  front = await on.as('proxy')
  n1 = await on.as('node', 'n1')
  n2 = await on.as('node', 'n2')
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const ROUTE_FIELDS = ['createdAt', 'domains', 'hasVolume', 'name', 'needs', 'node', 'permit', 'revision', 'updatedAt']

const forbidden = (action: Promise<unknown>, how = /./) =>
  assert.rejects(action, error => isFailure(error, 'forbidden') && how.test(`${error.message} ${error.details.hint}`))

describe('a token of the role node', () => {
  test('announces the node that it was made for, and no other', async () => {
    await n1.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement() })
    await forbidden(
      n1.call('announceNode', { params: { node: 'n2' }, body: anAnnouncement() }),
      /of the node "n1".*"n2".*shadow token create n2 --role node/,
    )
  })

  test('takes and gives up leases for its node alone', async () => {
    await on.admin.call('registerApp', { body: { name: 'leased', image: 'x', volume: { size: '16MiB' } } })
    const params = { volume: 'leased' }
    await forbidden(n2.call('leaseVolume', { params, body: { node: 'n1' } }))
    const { lease } = await on.admin.call('leaseVolume', { params, body: { node: 'n1' } })
    const query = { node: 'n1', epoch: lease?.epoch ?? 0 }
    await forbidden(n2.call('releaseVolume', { params, query }))
    assert.equal((await on.admin.call('getVolume', { params })).lease?.node, 'n1')
    await n1.call('releaseVolume', { params, query })
    assert.equal((await on.admin.call('getVolume', { params })).lease, null)
  })

  test('is told of no keys, no apps by hostname, and no list of apps or volumes', async () => {
    await forbidden(n1.call('listNodes', {}))
    await forbidden(n1.call('getHost', { params: { hostname: 'leased.localhost' } }))
    await forbidden(n1.call('listApps', {}))
    await forbidden(n1.call('listVolumes', {}))
    await forbidden(n1.call('getRelease', { params: { app: 'leased', revision: 1 } }))
  })

  test('must be made with the name of a node', async () => {
    const answer = await on.http('POST', '/v1/tokens', { body: { name: 'Node One', role: 'node' } })
    const { code, faults } = answer.body as Problem
    assert.deepEqual([answer.status, code, faults?.map(({ field }) => field)], [400, 'bad-input', ['name']])
    assert.equal((await on.http('POST', '/v1/tokens', { body: { name: 'My Laptop', role: 'admin' } })).status, 201)
  })
})

describe('a node reads the apps that are placed on it, and no other:', () => {
  const permitOf = async (app: string) =>
    (await front.call('getHost', { params: { hostname: `${app}.localhost` } })).permit
  const read = (node: MasterClient, app: string, permit?: string) =>
    node.call('getApp', { params: { app }, headers: permitHeaders(permit) })
  const lease = (client: MasterClient, volume: string, node: string, permit?: string) =>
    client.call('leaseVolume', { params: { volume }, body: { node }, headers: permitHeaders(permit) })
  const register = (name: string, more: object = {}) =>
    on.admin.call('registerApp', { body: { name, image: 'x', env: { SECRET: name }, ...more } })

  test('its token alone reads no app, and leases no volume to read the app then', async () => {
    await register('alone')
    await register('kept', { volume: { size: '16MiB' } })
    for (const app of ['alone', 'kept'])
      await forbidden(read(n1, app), new RegExp(`${app} is not placed on the node n1`))
    await forbidden(lease(n1, 'kept', 'n1'))
    await on.admin.call('updateApp', { params: { app: 'kept' }, body: { volume: null } })
    await forbidden(lease(n1, 'kept', 'n1'))
    await assert.rejects(read(n1, 'nobody'), error => isFailure(error, 'app-not-found'))
  })

  test('with the permit of the route, which a front shows it, it does; for that app alone', async () => {
    await register('placed')
    await register('stateful', { volume: { size: '16MiB' } })
    for (const app of ['placed', 'stateful'])
      assert.deepEqual((await read(n1, app, await permitOf(app))).task.env, { SECRET: app })
    await forbidden(read(n1, 'placed', await permitOf('stateful')))
    await forbidden(read(n1, 'placed', 'guessed'))
    await forbidden(lease(n1, 'stateful', 'n1', await permitOf('placed')))
    assert.equal((await lease(n1, 'stateful', 'n1', await permitOf('stateful'))).lease?.node, 'n1')
  })

  test('with the lease of its volume it does, and another node is told who has it, also with a permit', async () => {
    await register('leased-by-one', { volume: { size: '16MiB' } })
    const permit = await permitOf('leased-by-one')
    await lease(n1, 'leased-by-one', 'n1', permit)
    assert.equal((await read(n1, 'leased-by-one')).name, 'leased-by-one')
    await forbidden(read(n2, 'leased-by-one'))
    await assert.rejects(
      read(n2, 'leased-by-one', permit),
      error => isFailure(error, 'volume-elsewhere') && error.details.facts?.['node'] === 'n1',
    )
  })

  test('a permit is for the app as it was registered: not for another one that gets its name', async () => {
    await register('again')
    const permit = await permitOf('again')
    await on.admin.call('removeApp', { params: { app: 'again' } })
    await clock.advance(1_000)
    await register('again')
    await forbidden(read(n1, 'again', permit))
    assert.equal((await read(n1, 'again', await permitOf('again'))).name, 'again')
  })
})

describe('a token of the role proxy', () => {
  test('gets a route without environment, image and command', async () => {
    const route = await front.call('getHost', { params: { hostname: 'leased.localhost' } })
    assert.deepEqual(Object.keys(route).sort(), ROUTE_FIELDS)
  })

  test('is told of nodes with the key for traffic alone, and of no app more than its route', async () => {
    const told = anAnnouncement()
    await n1.call('announceNode', { params: { node: 'n1' }, body: told })
    const answer = await front.call('listNodes', {})
    assert.equal(answer.items.find(({ name }) => name === 'n1')?.key, told.key)
    assert.ok(!JSON.stringify(answer).includes(told.controlKey))
    await forbidden(front.call('getApp', { params: { app: 'leased' } }))
    await forbidden(front.call('listApps', {}))
    await forbidden(front.call('getVolume', { params: { volume: 'leased' } }))
    await forbidden(front.call('getRelease', { params: { app: 'leased', revision: 1 } }))
  })

  test('nor is the admin told of either key', async () => {
    const { key, controlKey } = anAnnouncement()
    const answer = JSON.stringify(await on.admin.call('listNodes', {}))
    assert.ok(!answer.includes(key) && !answer.includes(controlKey))
  })
})
