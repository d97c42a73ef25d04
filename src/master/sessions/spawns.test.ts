import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import { HandClock } from '../../testing/clock.ts'
import { type FakeNode, fakeNode } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'

let nodes: FakeNode[]
let master: TestMaster
let clock: HandClock
beforeEach(async () => {
  clock = new HandClock()
  master = await testMaster(memoryStorage(), clock)
  nodes = []
})
afterEach(async () => {
  await master[Symbol.asyncDispose]()
  await Promise.all(nodes.map(node => node[Symbol.asyncDispose]()))
})

const admin = (): MasterClient => master.admin
async function node(name: string, labels: Record<string, string> = {}): Promise<FakeNode> {
  const made = await fakeNode(name)
  nodes.push(made)
  const { address, key, controlKey } = made
  const client = await master.as('node', name)
  const body = { ...anAnnouncement({ address, key, controlKey }), labels }
  await client.call('announceNode', { params: { node: name }, body })
  return made
}
const isCode = (code: ShadowError['code']) => (error: unknown) => isFailure(error, code)
const connect = (more: object = {}) => admin().call('connectSession', { body: { template: 'editor', ...more } })
const template = (rules: object, more: object = {}) =>
  admin().call('registerApp', { body: { name: 'editor', image: 'x', template: rules, ...more } })
const app = (name: string): Promise<App> => admin().call('getApp', { params: { app: name } }) as Promise<App>

describe('limits of a connect', () => {
  test('take the place of those of the template for this session, and are never above them', async () => {
    await node('n1')
    await template({}, { limits: { memory: '64MiB', cpus: 0.5, reserve: '48MiB', shm: '32MiB' } })
    const { session } = await connect({ spawn: { limits: { memory: '16MiB', pids: 9 } } })
    const { limits } = (await app(session)).task
    assert.deepEqual(limits, { memory: '16MiB', cpus: 0.5, pids: 9, reserve: '16MiB', shm: '16MiB' })
    for (const asked of [{ memory: '65MiB' }, { cpus: 0.6 }, { pids: 513 }, { reserve: '49MiB' }, { disk: '2GiB' }])
      await assert.rejects(connect({ spawn: { limits: asked } }), isCode('bad-input'))
    await assert.rejects(connect({ spawn: { limits: { memory: '1MiB' } } }), isCode('bad-input'))
    assert.equal((await admin().call('listSessions', { query: {} })).items.length, 1)
  })
})

describe('a pool of nodes', () => {
  test('of the template or of the connect is the nodes with these labels; without one of them there is no session', async () => {
    await node('n1', { disk: 'hdd' })
    await node('n2', { disk: 'ssd', zone: 'a' })
    await template({ pool: { disk: 'ssd' } })
    for (let count = 0; count < 5; count++) assert.equal((await connect()).node, 'n2')
    const other = await connect({ key: { name: 'a' }, spawn: { pool: { disk: 'hdd' } } })
    assert.equal(other.node, 'n1')
    const hostname = `${other.session.slice('editor--'.length)}.editor.localhost`
    assert.deepEqual((await admin().call('getHost', { params: { hostname } })).needs.labels, { disk: 'hdd' })
    await assert.rejects(connect({ spawn: { pool: { disk: 'ssd', zone: 'b' } } }), isCode('no-node'))
    await assert.rejects(connect({ spawn: { pool: { 'no label': '1' } } }), isCode('bad-input'))
  })

  test('holds for warm sessions: another pool makes them anew on nodes of it', async () => {
    await node('n1', { disk: 'hdd' })
    await node('n2', { disk: 'ssd' })
    await template({ warm: 1, pool: { disk: 'ssd' } })
    const warmOn = async (name: string): Promise<void> => {
      for (;;) {
        const { items } = await admin().call('listSessions', { query: {} })
        if (items.length === 1 && items[0]?.node === name) return
        await clock.advance(500)
      }
    }
    await warmOn('n2')
    await admin().call('setTemplate', { params: { app: 'editor' }, body: { warm: 1, pool: { disk: 'hdd' } } })
    await warmOn('n1')
  })
})

describe('the first volume of a session', () => {
  const volume = { size: '16MiB' }
  async function golden(): Promise<FakeNode> {
    const n1 = await node('n1')
    await admin().call('registerApp', { body: { name: 'golden', image: 'x', volume } })
    return n1
  }
  const forks = (n1: FakeNode) => n1.calls.filter(call => call.startsWith('forkVolume'))

  test('of a template without a volume cannot be a copy, and a source must be one', async () => {
    await golden()
    await assert.rejects(template({ volumeFrom: 'app:golden' }), isCode('bad-input'))
    for (const volumeFrom of ['golden', 'app:golden/1', 'snapshot:golden', 'app:-'])
      await assert.rejects(template({ volumeFrom }, { volume }), isCode('bad-input'))
    await template({}, { image: 'x' })
    const params = { app: 'editor' }
    await assert.rejects(
      admin().call('setTemplate', { params, body: { volumeFrom: 'app:golden' } }),
      isCode('bad-input'),
    )
  })

  test('is made as a copy on the node that has the source, before the session is', async () => {
    const n1 = await golden()
    await template({ volumeFrom: 'app:golden' }, { volume })
    n1.failures.set('forkVolume', new ShadowError('disk-full', 'no room for the copy'))
    await assert.rejects(connect({ key: { name: 'a' } }), isCode('disk-full'))
    assert.deepEqual((await admin().call('listSessions', { query: {} })).items, [])
    n1.failures.clear()
    const { session } = await connect({ key: { name: 'a' } })
    assert.deepEqual(forks(n1).at(-1), `forkVolume ${session}`)
    assert.equal((await app(session)).task.volume?.id, session)
  })

  test('fails where there is nothing to copy, and nothing is left behind', async () => {
    await golden()
    await template({ volumeFrom: 'snapshot:golden/none' }, { volume })
    await assert.rejects(connect(), isCode('not-found'))
    await assert.rejects(connect({ key: { name: 'a' } }), isCode('not-found'))
    assert.deepEqual((await admin().call('listSessions', { query: {} })).items, [])
    assert.deepEqual(
      (await admin().call('listVolumes', {})).items.map(({ id }) => id),
      ['editor', 'golden'],
    )
  })
})
