import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'vitest'
import type { MasterClient } from '../../api/client.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { HandClock } from '../../testing/clock.ts'
import { type FakeNode, fakeNode } from '../../testing/fake-node.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'

let node: FakeNode
let masters: TestMaster[]
beforeEach(async () => {
  const clock = new HandClock()
  node = await fakeNode('n1')
  const storage = memoryStorage()
  masters = [await testMaster(storage, clock), await testMaster(storage, clock)]
  const { address, key, controlKey } = node
  const n1 = await one().as('node', 'n1')
  await n1.call('announceNode', { params: { node: 'n1' }, body: anAnnouncement({ address, key, controlKey }) })
})
afterEach(async () => {
  await Promise.all(masters.map(master => master[Symbol.asyncDispose]()))
  await node[Symbol.asyncDispose]()
})

const one = (): TestMaster => masters[0] as TestMaster
const admin = (): MasterClient => one().admin
const connect = (spawn: object, key?: string, by = admin()) =>
  by.call('connectSession', { body: { spawn, ...(key !== undefined && { key: { name: key } }) } as never })
const appOf = (session: string) => admin().call('getApp', { params: { app: session } })
const isCode =
  (code: ShadowError['code'], how = /./) =>
  (error: unknown) =>
    isFailure(error, code) && how.test(error.message)
const owner = async (name: string, ...apps: string[]): Promise<MasterClient> =>
  one().client((await admin().call('createToken', { body: { name, role: 'owner', apps } })).token)

describe('a session of an image', () => {
  test('is made without a template, as its settings say, and is the same one for the same key and settings', async () => {
    const settings = {
      ...{ image: 'python:3', command: ['python', '-m', 'http.server'], port: 8_000, ready: { kind: 'started' } },
      ...{ volume: { size: '1GiB' }, egress: ['none'], limits: { memory: '1GiB' }, ports: 'all' },
    }
    const first = await connect({ ...settings, env: { A: 'b' }, lifetime: '1h' }, 'a')
    assert.match(first.session, /^shadow-from-image--[a-z2-7]{16}$/)
    assert.ok(first.spawned && first.token !== null && first.until !== null)
    const { task, session, domains } = await appOf(first.session)
    assert.deepEqual(
      [task.image, task.command, task.port, task.ready, task.egress, task.env],
      ['python:3', settings.command, 8_000, settings.ready, ['none'], { A: 'b' }],
    )
    assert.deepEqual([task.limits.memory, task.volume?.size, session?.ports], ['1GiB', '1GiB', 'all'])
    const [, slot] = first.session.split('--')
    assert.deepEqual(domains, [`${slot}.shadow-from-image.localhost`])
    assert.equal(first.url, `https://${domains[0]}/${first.token}/`)

    const reversed = Object.fromEntries(Object.entries(settings).reverse())
    const again = await connect({ ...reversed, env: { A: 'another' } }, 'a')
    assert.deepEqual([again.session, again.spawned], [first.session, false])
    assert.notEqual((await connect(settings, 'b')).session, first.session)
    assert.notEqual((await connect(settings)).session, (await connect(settings)).session)
  })

  test('is found by its hostname at each master, at once; what stands for its template is not', async () => {
    const { session } = await connect({ image: 'x' }, 'a')
    const { domains } = await appOf(session)
    const front = await (masters[1] as TestMaster).as('proxy')
    const at = (hostname: string) => front.call('getHost', { params: { hostname } })
    assert.equal((await at(domains[0] ?? '')).name, session)
    await assert.rejects(at('shadow-from-image.localhost'), isCode('host-unknown'))
    await assert.rejects(at(`${'a'.repeat(16)}.shadow-from-image.localhost`), isCode('host-unknown'))
  })

  test('of twenty calls at once over two masters, one makes it, and all get it', async () => {
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, index) => connect({ image: 'x' }, 'doc', masters[index % 2]?.admin)),
    )
    assert.equal(new Set(all.map(({ session }) => session)).size, 1)
    assert.equal(all.filter(({ spawned }) => spawned).length, 1)
    assert.equal(node.calls.filter(call => call.startsWith('wakeInstance')).length, 1)
  })

  test('of another image is another one for the same key, also at the same time, and each ends by itself', async () => {
    const [x, y] = await Promise.all([
      connect({ image: 'x' }, 'doc'),
      connect({ image: 'y' }, 'doc', masters[1]?.admin),
    ])
    assert.deepEqual([x.spawned, y.spawned], [true, true])
    assert.deepEqual([(await appOf(x.session)).task.image, (await appOf(y.session)).task.image], ['x', 'y'])
    await admin().call('endSession', { params: { session: x.session } })
    assert.equal((await connect({ image: 'y' }, 'doc')).spawned, false)
    assert.equal((await connect({ image: 'x' }, 'doc')).spawned, true)
  })

  test('is listed, ended and revoked by what stands for its template, and leaves no app behind', async () => {
    const { session, template } = await connect({ image: 'x' })
    const listed = await admin().call('listSessions', { query: { template } })
    assert.deepEqual(
      listed.items.map(one => one.session),
      [session],
    )
    assert.deepEqual(await admin().call('revokeTokens', { params: { app: template }, body: {} }), { revoked: 1 })
    await admin().call('endSession', { params: { session } })
    assert.deepEqual((await admin().call('listApps', {})).items, [])
  })

  test('whose image is nowhere, or does not start, says so, and leaves nothing behind', async () => {
    node.failures.set('wakeInstance', new ShadowError('image-not-found', 'there is no image nowhere:1'))
    await assert.rejects(connect({ image: 'nowhere:1' }, 'a'), isCode('image-not-found', /nowhere:1/))
    assert.deepEqual((await admin().call('listSessions', { query: {} })).items, [])
    assert.deepEqual((await admin().call('listApps', {})).items, [])
  })
})

describe('a connect', () => {
  const WRONG: readonly [what: string, body: object, field: string][] = [
    ['with a template and an image', { template: 'editor', spawn: { image: 'x' } }, 'spawn.image'],
    ['with a template and a setting of an image', { template: 'editor', spawn: { port: 3_000 } }, 'spawn.port'],
    ['with neither', { spawn: { env: {} } }, 'template'],
    ['with a session that lives of no template', { key: { name: 'a' }, spawn: null }, 'template'],
    ['with an image that is no name', { spawn: { image: 'No Name' } }, 'spawn.image'],
    ['with too little memory', { spawn: { image: 'x', limits: { memory: '1MiB' } } }, 'limits.memory'],
  ]
  for (const [what, body, field] of WRONG)
    test(`${what} is refused, with the field that is wrong`, async () => {
      await admin().call('registerApp', { body: { name: 'editor', image: 'x', template: {} } })
      await assert.rejects(admin().call('connectSession', { body: body as never }), error => {
        assert.ok(isFailure(error, 'bad-input'))
        return (error.details.faults ?? []).some(fault => fault.field === field)
      })
    })
})

describe('an owner', () => {
  test('has its sessions of images among its own apps, and nobody else has them', async () => {
    const [ann, bob] = [await owner('ann', 'shared', 'ann-shop-*', 'ann-*'), await owner('bob', 'bob-*')]
    const anns = await connect({ image: 'x' }, 'a', ann)
    assert.match(anns.session, /^ann-from-image--/)
    const bobs = await connect({ image: 'x' }, 'a', bob)
    assert.match(bobs.session, /^bob-from-image--/)
    assert.equal((await connect({ image: 'x' }, 'a', ann)).session, anns.session)
    const seen = async (by: MasterClient) =>
      (await by.call('listSessions', { query: {} })).items.map(one => one.session)
    assert.deepEqual([await seen(ann), await seen(bob)], [[anns.session], [bobs.session]])
    await assert.rejects(bob.call('endSession', { params: { session: anns.session } }), isCode('forbidden'))
    const body = { template: anns.template, key: { name: 'a' } }
    await assert.rejects(bob.call('connectSession', { body }), isCode('forbidden'))
  })

  test('that may name no new apps may make none', async () => {
    const only = await owner('eve', 'blog')
    await assert.rejects(connect({ image: 'x' }, 'a', only), isCode('forbidden', /for the apps blog/))
    const long = await owner('long', `${'a'.repeat(40)}-*`)
    await assert.rejects(connect({ image: 'x' }, 'a', long), isCode('forbidden'))
  })

  test('gets by an image nothing that a definition would not get it', async () => {
    const ann = await owner('ann', 'ann-*')
    const host = new URL(one().master.url).host
    for (const image of ['master.shadow/bob-blog:1', `${host}/bob-blog:1`])
      await assert.rejects(connect({ image }, 'a', ann), isCode('forbidden', /bob-blog/))
    // What an admin has let an app reach, no session of an image may.
    const body = { name: 'ann-blog', image: 'x', egress: ['10.0.0.5:5432' as const] }
    await admin().call('registerApp', { body })
    await assert.rejects(
      connect({ image: 'x', egress: ['10.0.0.5:5432'] }, 'a', ann),
      isCode('forbidden', /10\.0\.0\.5/),
    )
    await connect({ image: 'x', egress: ['api.example.com'] }, 'a', ann)
  })

  test('means an image of the masters by the name that it was pushed with', async () => {
    const host = new URL(one().master.url).host
    await assert.rejects(
      connect({ image: `${host}/blog:1` }),
      isCode('image-not-found', /blog:1 is not in the image store/),
    )
  })
})

test('no app takes a name that is for sessions of images', async () => {
  for (const name of ['shadow-from-image', 'ann-from-image'])
    await assert.rejects(
      admin().call('registerApp', { body: { name, image: 'x' } }),
      isCode('bad-input', /for sessions/),
    )
})
