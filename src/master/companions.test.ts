import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { anAnnouncement } from '../testing/front.ts'
import { type TestMaster, testMaster } from '../testing/masters.ts'
import { directory } from './storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-companions-'))
let on: TestMaster
/** The names of apps in each test, so that none meets those of another one. */
let at = 0
const own = (name: string): string => `${name}${at}`
beforeAll(async () => {
  on = await testMaster(await directory({ path }))
  for (const node of ['n1', 'n2']) await on.admin.call('announceNode', { params: { node }, body: anAnnouncement() })
})
beforeEach(() => {
  at += 1
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const VOLUME = { volume: { size: '16MiB' } }
const register = (name: string, more: object = {}) =>
  on.admin.call('registerApp', { body: { name: own(name), image: 'x', ...more } })
const uses = (app: string, ...names: string[]) =>
  on.admin.call('updateApp', { params: { app: own(app) }, body: { uses: names.map(own) } })
const read = (app: string) => on.admin.call('getApp', { params: { app: own(app) } })
const remove = (app: string) => on.admin.call('removeApp', { params: { app: own(app) } })
const lease = (app: string, node: string) =>
  on.admin.call('leaseVolume', { params: { volume: own(app) }, body: { node } })
const routeOf = (app: string) => on.admin.call('getHost', { params: { hostname: `${own(app)}.localhost` } })

describe('apps that an app uses', () => {
  test('are part of its definition, make a release of it, and know who uses them', async () => {
    await register('db')
    const before = await register('blog')
    const { task } = await uses('blog', 'db')
    assert.deepEqual([task.uses, task.revision], [[own('db')], before.task.revision + 1])
    assert.deepEqual((await read('db')).usedBy, [own('blog')])
    assert.equal((await uses('blog', 'db')).task.revision, task.revision)
    assert.deepEqual((await on.admin.call('getDefinition', { params: { app: own('blog') } }))['uses'], [own('db')])
    assert.equal((await uses('blog')).task.uses, undefined)
    assert.equal((await read('db')).usedBy, undefined)
  })

  test('cannot be removed before they are detached, or the app is removed', async () => {
    await register('db')
    await register('blog', { uses: [own('db')] })
    const error = await remove('db').catch(thrown => thrown as ShadowError)
    assert.ok(error instanceof ShadowError)
    assert.deepEqual(
      [error.code, error.message, error.details.hint],
      ['companion-in-use', `${own('blog')} uses ${own('db')}`, `shadow detach ${own('blog')} ${own('db')}`],
    )
    await remove('blog')
    await remove('db')
  })

  test('have to be there: at the registration, at a change, and at a rollback', async () => {
    await assert.rejects(register('blog', { uses: [own('db')] }), /uses of blog\d+: no app is called db/)
    await register('blog')
    await assert.rejects(uses('blog', 'db'), { code: 'bad-input', message: /no app is called db/ })
    await register('db')
    const { task } = await uses('blog', 'db')
    await uses('blog')
    await remove('db')
    const params = { app: own('blog') }
    await assert.rejects(on.admin.call('rollbackApp', { params, body: { to: task.revision } }), /no app is called db/)
  })

  test('are refused in a circle, however long it is', async () => {
    await register('one')
    await register('two', { uses: [own('one')] })
    await register('three', { uses: [own('two')] })
    await assert.rejects(uses('one', 'one'), /cannot use itself/)
    await assert.rejects(uses('one', 'three'), {
      code: 'bad-input',
      message: new RegExp(`in a circle: ${['one', 'three', 'two', 'one'].map(own).join(' → ')}`),
    })
    assert.equal((await read('one')).task.uses, undefined)
  })

  test('do not go together with several instances, on either side', async () => {
    await register('db')
    await register('blog', { uses: [own('db')] })
    for (const app of ['db', 'blog'])
      await assert.rejects(
        on.admin.call('setScale', { params: { app: own(app) }, body: { max: 3 } }),
        /one instance each/,
      )
    await register('wide', { scale: { max: 3 } })
    await assert.rejects(uses('wide', 'db'), /one instance each/)
    await assert.rejects(uses('blog', 'db', 'wide'), /one instance each/)
  })

  test('bring the app to the node of their volume, and the other way round', async () => {
    await register('db', VOLUME)
    await register('blog', { uses: [own('db')] })
    await register('shop', { uses: [own('db')], ...VOLUME })
    assert.deepEqual((await routeOf('blog')).needs.volume, undefined)
    await lease('shop', 'n2')
    for (const app of ['blog', 'db', 'shop']) {
      const { node, needs, hasVolume } = await routeOf(app)
      assert.deepEqual([node, needs.volume?.node, needs.volume?.isLocal], ['n2', 'n2', true], app)
      assert.equal(hasVolume, app !== 'blog')
    }
    const placed = await on.admin.call('getPlacement', { params: { app: own('blog') } })
    assert.ok(placed.node === undefined || placed.node === 'n2', 'the nodes of this test answer nothing')
  })

  test('count with the memory that they need', async () => {
    await register('db', { limits: { memory: '1GiB' } })
    await register('blog', { limits: { memory: '256MiB' }, uses: [own('db')] })
    assert.equal((await routeOf('blog')).needs.reserveBytes, (1_024 + 256) * 2 ** 20)
  })

  test('are refused where their volumes are on the disks of two nodes, and are not parted by a move', async () => {
    await register('db', VOLUME)
    await register('blog', VOLUME)
    await lease('db', 'n1')
    await lease('blog', 'n2')
    const error = await uses('blog', 'db').catch(thrown => thrown as ShadowError)
    assert.ok(error instanceof ShadowError)
    assert.match(error.message, new RegExp(`the volume of blog${at} is on n2, and the volume of db${at} is on n1`))
    assert.deepEqual([error.code, error.details.hint], ['bad-input', `shadow move ${own('db')} n2`])
    await register('shop', VOLUME)
    await lease('shop', 'n1')
    await uses('shop', 'db')
    await assert.rejects(
      on.admin.call('moveApp', { params: { app: own('db') }, body: { to: 'n2' } }),
      /it and shop\d+ use one another, whose volume stays on n1/,
    )
  })

  test('are read by the node that has the app, with the permit that comes with it', async () => {
    await register('db')
    const app = await register('blog', { uses: [own('db')] })
    assert.equal(app.permits, undefined)
    const node = await on.as('node', 'n1')
    const { permit } = await routeOf('blog')
    const asNode = (name: string, shown?: string) =>
      node.call('getApp', { params: { app: own(name) }, ...(shown && { headers: { 'x-shadow-permit': shown } }) })
    await assert.rejects(asNode('db', permit), { code: 'forbidden' })
    const { permits } = await asNode('blog', permit)
    assert.equal((await asNode('db', permits?.[own('db')])).name, own('db'))
  })
})
