import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { HandClock } from '../testing/clock.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-tcp-'))
const clock = new HandClock()
let on: TestMaster
beforeAll(async () => {
  on = await testMaster(await directory({ path }), clock)
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const register = (name: string, more: object = {}) =>
  on.admin.call('registerApp', { body: { name, image: 'x', ...more } })
type Ports = { port: number; listen?: number; idle?: string; connections?: number }[]
const set = (app: string, body: Ports) => on.admin.call('setTcp', { params: { app }, body })
const listed = async () => (await on.admin.call('listKept', {})).items.map(({ name, tcp }) => [name, tcp])

describe('the TCP ports of an app', () => {
  test('are refused for a template, and an app that has some does not become one', async () => {
    await register('editor', { template: {} })
    await assert.rejects(set('editor', [{ port: 22 }]), /cannot be given to a template/)
    await register('shell')
    await set('shell', [{ port: 22, listen: 10_022 }])
    const params = { app: 'shell' }
    await assert.rejects(on.admin.call('setTemplate', { params, body: {} as never }), /cannot be given to a template/)
    await set('shell', [])
  })

  test('make no revision, and are in the routes that fronts list', async () => {
    const before = await register('blog')
    const after = await set('blog', [{ port: 5432 }, { port: 22, listen: 10_000, idle: '1h', connections: 3 }])
    const ports = [
      { port: 22, listen: 10_000, idle: '1h', connections: 3 },
      { port: 5432, listen: 15_432 },
    ]
    assert.deepEqual([after.tcp, after.task], [ports, before.task])
    assert.deepEqual(await listed(), [['blog', ports]])
    assert.equal((await set('blog', ports)).updatedAt, after.updatedAt)
    assert.equal((await set('blog', [])).tcp, undefined)
    assert.deepEqual(await listed(), [])
  })

  test('can come with the registration, and stay when the definition changes', async () => {
    const { tcp } = await register('with', { tcp: [{ port: 6379 }] })
    assert.deepEqual(tcp, [{ port: 6379, listen: 16_379 }])
    const params = { app: 'with' }
    assert.deepEqual((await on.admin.call('updateApp', { params, body: { image: 'y' } })).tcp, tcp)
    assert.deepEqual((await on.admin.call('getDefinition', { params }))['tcp'], tcp)
    await on.admin.call('removeApp', { params })
  })

  test('belong to one app; what it gives up, or leaves behind when it is removed, another one may have', async () => {
    await register('one', { tcp: [{ port: 1, listen: 12_000 }] })
    await register('two')
    const taken = { code: 'port-taken', message: 'the port 12000 belongs to the app one' }
    await assert.rejects(set('two', [{ port: 1, listen: 12_000 }]), taken)
    await assert.rejects(register('three', { tcp: [{ port: 1, listen: 12_000 }] }), taken)
    await set('one', [{ port: 1, listen: 12_001 }])
    await set('two', [{ port: 1, listen: 12_000 }])
    await on.admin.call('removeApp', { params: { app: 'two' } })
    await set('one', [
      { port: 1, listen: 12_000 },
      { port: 1, listen: 12_001 },
    ])
  })

  test('of two apps that ask for one at the same time, one gets it', async () => {
    await Promise.all(['x', 'y'].map(name => register(name)))
    const asked = await Promise.allSettled(['x', 'y'].map(name => set(name, [{ port: 1, listen: 13_000 }])))
    assert.deepEqual(asked.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
  })

  test('are refused where they make no sense', async () => {
    await register('odd')
    const twice = [
      { port: 1, listen: 14_000 },
      { port: 2, listen: 14_000 },
    ]
    for (const wrong of [twice, [{ port: 0 }], [{ port: 60_000 }], [{ port: 1, idle: '1ms' }]])
      await assert.rejects(set('odd', wrong), { code: 'bad-input' })
    await on.admin.call('setScale', { params: { app: 'odd' }, body: { max: 3 } })
    await assert.rejects(set('odd', [{ port: 1 }]), { code: 'bad-input', message: /one instance/ })
    await register('even', { tcp: [{ port: 1 }] })
    await assert.rejects(on.admin.call('setScale', { params: { app: 'even' }, body: { max: 3 } }), /one instance/)
  })

  test('are shown with what the fronts said of them, until a front has not said so for hours', async () => {
    const proxy = await on.as('proxy')
    await register('db', { tcp: [{ port: 5432 }] })
    const ports = [
      { listen: 15_432, app: 'db', problem: 'it is in use' },
      { listen: 10_001, app: 'another' },
    ]
    for (let twice = 0; twice < 2; twice++)
      await proxy.call('reportTcp', { params: { front: 'Web-1' }, body: { ports } })
    const { fronts } = await on.admin.call('getTcp', { params: { app: 'db' } })
    assert.deepEqual(
      fronts.map(one => [one.front, one.ports]),
      [['Web-1', [ports[0]]]],
    )
    await clock.advance(3 * 3_600_000)
    assert.deepEqual((await on.admin.call('getTcp', { params: { app: 'db' } })).fronts, [])
  })
})
