import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import type { MasterClient } from '../api/client.ts'
import { isFailure, type Problem } from '../lib/errors.ts'
import { anAnnouncement } from '../testing/front.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-roles-'))
let on: TestMaster
let front: MasterClient
let n1: MasterClient
let n2: MasterClient
beforeAll(async () => {
  on = await testMaster(await directory({ path }))
  front = await on.as('proxy')
  n1 = await on.as('node', 'n1')
  n2 = await on.as('node', 'n2')
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const forbidden = (deed: Promise<unknown>, how = /./) =>
  assert.rejects(deed, error => isFailure(error, 'forbidden') && how.test(`${error.message} ${error.details.hint}`))

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
    const { lease } = await n1.call('leaseVolume', { params, body: { node: 'n1' } })
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
    await forbidden(n1.call('getTask', { params: { app: 'leased', revision: 1 } }))
  })

  test('must be made with the name of a node', async () => {
    const answer = await on.http('POST', '/v1/tokens', { body: { name: 'Node One', role: 'node' } })
    const { code, faults } = answer.body as Problem
    assert.deepEqual([answer.status, code, faults?.map(({ field }) => field)], [400, 'bad-input', ['name']])
    assert.equal((await on.http('POST', '/v1/tokens', { body: { name: 'My Laptop', role: 'admin' } })).status, 201)
  })
})

describe('a token of the role proxy', () => {
  test('is told of nodes with the key for traffic alone, and of no app more than its route', async () => {
    const told = anAnnouncement()
    await n1.call('announceNode', { params: { node: 'n1' }, body: told })
    const answer = await front.call('listNodes', {})
    assert.equal(answer.items.find(({ name }) => name === 'n1')?.key, told.key)
    assert.ok(!JSON.stringify(answer).includes(told.controlKey))
    await forbidden(front.call('getApp', { params: { app: 'leased' } }))
    await forbidden(front.call('listApps', {}))
    await forbidden(front.call('getVolume', { params: { volume: 'leased' } }))
    await forbidden(front.call('getTask', { params: { app: 'leased', revision: 1 } }))
  })

  test('nor is the admin told of either key', async () => {
    const { key, controlKey } = anAnnouncement()
    const answer = JSON.stringify(await on.admin.call('listNodes', {}))
    assert.ok(!answer.includes(key) && !answer.includes(controlKey))
  })
})
