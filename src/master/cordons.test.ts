import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { type FailureCode, isFailure } from '../lib/errors.ts'
import { NODE_LOST_AFTER } from '../model/intervals.ts'
import { HandClock } from '../testing/clock.ts'
import { anAnnouncement } from '../testing/front.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

let path: string
let clock: HandClock
let on: TestMaster
let other: TestMaster
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-cordons-'))
  clock = new HandClock()
  on = await testMaster(await directory({ path }), clock)
  other = await testMaster(await directory({ path }), clock)
  await announce(on)
})
afterEach(async () => {
  await on[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const params = { node: 'n1' }
const announce = (master: TestMaster, said = {}) =>
  master.admin.call('announceNode', { params, body: { ...anAnnouncement(), ...said } })
const n1 = async (master = on) => (await master.admin.call('listNodes', {})).items[0]!
const rejectsWith = (code: FailureCode, action: Promise<unknown>) =>
  assert.rejects(action, error => isFailure(error, code))

describe('the cordon of a node', () => {
  test('is seen through any master at once, and no announcement through any of them takes it away', async () => {
    await on.admin.call('cordonNode', { params })
    const since = new Date(clock.wall()).toISOString()
    for (const master of [on, other, on, other]) {
      await clock.advance(1_000)
      assert.deepEqual(await announce(master), { cordon: { since } })
      for (const seen of [on, other]) assert.deepEqual((await n1(seen)).cordon, { since })
    }
  })

  test('is kept while the node is gone, and can be set and taken away then, which is no sign of life', async () => {
    await clock.advance(NODE_LOST_AFTER)
    assert.equal((await n1()).state, 'gone')
    await on.admin.call('cordonNode', { params })
    assert.deepEqual([(await n1()).state, (await n1()).cordon === undefined], ['gone', false])
    assert.notEqual((await announce(on)).cordon, null)
    await on.admin.call('uncordonNode', { params })
    assert.equal((await announce(other)).cordon, null)
  })

  test('may be set twice, and is of no node that was never there', async () => {
    const { cordon } = await on.admin.call('cordonNode', { params })
    await clock.advance(1_000)
    assert.deepEqual((await on.admin.call('cordonNode', { params })).cordon, cordon)
    for (const name of ['cordonNode', 'uncordonNode'] as const)
      await rejectsWith('not-found', on.admin.call(name, { params: { node: 'never' } }))
    await rejectsWith('not-found', on.admin.call('drainNode', { params: { node: 'never' }, body: {} }))
  })

  test('shows no key of the node', async () => {
    assert.doesNotMatch(JSON.stringify(await on.admin.call('cordonNode', { params })), /a-key-for/)
  })

  test('is an admin matter; but a node may drain itself, since its machine may be taken away', async () => {
    const itself = await on.as('node')
    assert.equal((await itself.call('drainNode', { params, body: {} })).state, 'draining')
    for (const caller of [await on.as('node', 'n2'), await on.as('proxy')]) {
      await rejectsWith('forbidden', caller.call('cordonNode', { params }))
      await rejectsWith('forbidden', caller.call('uncordonNode', { params }))
      await rejectsWith('forbidden', caller.call('drainNode', { params, body: {} }))
    }
  })
})

describe('a drain', () => {
  test('is told to the node with the time that is left, and ends when the node is uncordoned', async () => {
    const { state, cordon } = await on.admin.call('drainNode', { params, body: { deadline: '1m' } })
    const until = new Date(clock.wall() + 60_000).toISOString()
    assert.deepEqual([state, cordon?.drain], ['draining', { until, volumes: 'keep' }])
    await clock.advance(15_000)
    assert.equal((await announce(other)).drainWithinMs, 45_000)
    assert.equal((await n1()).state, 'draining')
    await clock.advance(60_000)
    assert.equal((await announce(other)).drainWithinMs, 0)
    assert.equal((await on.admin.call('uncordonNode', { params })).state, 'healthy')
  })

  test('of a node whose disk has volumes wants to know what becomes of their apps; until then nothing is changed', async () => {
    for (const name of ['blog', 'shop', 'free'])
      await on.admin.call('registerApp', { body: { name, image: 'x', volume: { size: '1GiB' } } })
    for (const volume of ['blog', 'shop'])
      await on.admin.call('leaseVolume', { params: { volume }, body: { node: 'n1' } })
    // A lease that expires belongs to storage that other nodes can reach too.
    await on.admin.call('leaseVolume', { params: { volume: 'free' }, body: { node: 'n1', forMs: 60_000 } })
    await assert.rejects(on.admin.call('drainNode', { params, body: {} }), error => {
      assert.ok(isFailure(error, 'volumes-stay'))
      assert.deepEqual(error.details.faults, [
        { field: 'blog', message: 'the volume of blog' },
        { field: 'shop', message: 'the volume of shop' },
      ])
      assert.match(error.details.hint ?? '', /--keep-volumes.*--stop-volumes/)
      return true
    })
    assert.equal((await n1()).cordon, undefined)
    for (const volumes of ['keep', 'stop'] as const) {
      const { cordon } = await on.admin.call('drainNode', { params, body: { volumes } })
      assert.equal(cordon?.drain?.volumes, volumes)
    }
  })
})

describe('the state of a node', () => {
  test('follows what it announces, with the time since when', async () => {
    const begun = new Date(clock.wall()).toISOString()
    await clock.advance(5_000)
    await announce(other)
    assert.deepEqual([(await n1()).state, (await n1()).since], ['healthy', begun])
    await announce(on, { trouble: true })
    const ill = new Date(clock.wall()).toISOString()
    await clock.advance(5_000)
    await announce(other, { trouble: true })
    assert.deepEqual([(await n1()).state, (await n1()).since], ['unhealthy', ill])
    await clock.advance(NODE_LOST_AFTER)
    assert.deepEqual([(await n1()).state, (await n1()).since], ['gone', (await n1()).until])
    await announce(on, { trouble: true })
    assert.equal((await n1()).state, 'joining')
    await announce(on)
    assert.equal((await n1()).state, 'healthy')
  })
})
