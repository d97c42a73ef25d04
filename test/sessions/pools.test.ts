import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { isCode, Shadow } from '../tools/shadow.ts'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start({ env: { SHADOW_NODE_LABELS: 'disk=ssd' } })
})
afterAll(() => shadow[Symbol.asyncDispose]())

const connect = (template: string, more: object = {}) =>
  shadow.admin.call('connectSession', { body: { template, ...more } })
const sessions = async (template: string) => (await shadow.admin.call('listSessions', { query: { template } })).items
/** The host by which visitors come to it. */
const hostOf = (session: string): string => `${session.split('--').reverse().join('.')}.localhost`
/** The sessions that wait in the pool, once there are so many that none of `others` is among. */
async function pool(template: string, size: number, others: readonly string[] = []): Promise<readonly string[]> {
  let warm: string[] = []
  await shadow.eventually(async () => {
    const all = await sessions(template)
    warm = all.filter(one => one.warm && one.state === 'ready').map(({ session }) => session)
    const ready = await Promise.all(
      warm.map(async name => (await shadow.admin.call('getApp', { params: { app: name } })).session?.warm?.ready),
    )
    return warm.length === size && ready.every(Boolean) && !warm.some(name => others.includes(name))
  })
  return warm
}

describe('warm sessions', () => {
  test('run before anybody comes, are taken by connects with and without keys, and end by their own idle time then', async () => {
    await shadow.register('quick', { template: { warm: 2, visitors: 'all' }, sleep: { idleAfter: '5s' } } as object)
    const warm = await pool('quick', 2)
    const before = new Map<string, readonly string[]>()
    for (const name of warm) before.set(name, await shadow.containers(name))
    for (const containers of before.values()) assert.equal(containers.length, 1)
    assert.equal((await shadow.ask(hostOf(warm[0] ?? ''))).status, 401, 'it is nobody’s yet')
    await shadow.pass(60_000)
    assert.deepEqual((await pool('quick', 2)).toSorted(), warm.toSorted(), 'nobody uses them, and they stay')
    const [keyed, plain] = await Promise.all([connect('quick', { key: { name: 'doc' } }), connect('quick')])
    assert.deepEqual([keyed.fromPool, plain.fromPool, keyed.state, plain.state], [true, true, 'ready', 'ready'])
    assert.notEqual(keyed.session, plain.session)
    for (const { session } of [keyed, plain]) {
      assert.deepEqual(await shadow.containers(session), before.get(session), 'no container was started for it')
      assert.equal((await shadow.ask(hostOf(session))).status, 200)
    }
    assert.equal((await connect('quick', { key: { name: 'doc' } })).session, keyed.session)
    await pool('quick', 2, warm)
    await shadow.eventually(async () => {
      await shadow.pass(2_000)
      const { state, end } = await shadow.admin.call('getSession', { params: { session: keyed.session } })
      return state === 'ended' && end?.reason === 'swept'
    })
    assert.deepEqual(await shadow.containers(keyed.session), [])
    const next = await connect('quick', { key: { name: 'doc' } })
    assert.deepEqual([next.spawned, next.session === keyed.session], [true, false])
  })

  test('that crash while they wait are replaced, and a release replaces all', async () => {
    await shadow.register('brittle', { template: { warm: 1, visitors: 'all' } })
    const [first = ''] = await pool('brittle', 1)
    const [container = ''] = await shadow.containers(first)
    await promisify(execFile)('docker', ['kill', container])
    const [second = ''] = await pool('brittle', 1, [first])
    assert.equal((await shadow.admin.call('getSession', { params: { session: first } })).end?.exitCode, 137)
    await shadow.admin.call('updateApp', { params: { app: 'brittle' }, body: { env: { RELEASE: '2' } } })
    const [third = ''] = await pool('brittle', 1, [first, second])
    // One whose node is too busy to answer is not given out, and the next one is of the same release.
    const got = await connect('brittle')
    for (const app of [third, got.session])
      assert.equal((await shadow.admin.call('getApp', { params: { app } })).task.env['RELEASE'], '2')
    await shadow.eventually(async () => (await shadow.containers(second)).length === 0)
  })
})

describe('a volume from another one', () => {
  const put = (host: string, text: string) => shadow.ask(host, '/files/kept', { method: 'PUT', body: text })
  const read = async (session: string) => (await shadow.ask(hostOf(session), '/files/kept')).text

  test('of an app or of a snapshot is what a new session begins with; a key keeps what it has written', async () => {
    const volume = { size: '16MiB' } as const
    await shadow.register('golden', { volume })
    await put('golden.localhost', 'first')
    const { id } = await shadow.admin.call('takeSnapshot', { params: { volume: 'golden' }, body: {} })
    await put('golden.localhost', 'second')
    const template = { visitors: 'all', volumeFrom: 'app:golden' } as const
    await shadow.register('copies', { volume, template } as object)
    const keyed = await connect('copies', { key: { name: 'mine' } })
    assert.equal(await read(keyed.session), 'second')
    await put(hostOf(keyed.session), 'my own')
    await shadow.admin.call('endSession', { params: { session: keyed.session } })
    const ofSnapshot = { ...template, volumeFrom: `snapshot:golden/${id}` }
    await shadow.admin.call('setTemplate', { params: { app: 'copies' }, body: ofSnapshot } as never)
    const plain = await connect('copies')
    assert.equal(await read(plain.session), 'first')
    assert.equal((await connect('copies', { key: { name: 'mine' } })).session, keyed.session)
    assert.equal(await read(keyed.session), 'my own')
    assert.equal(await read('golden'), 'second', 'the source stays as it is')
    const all = await Promise.all(Array.from({ length: 6 }, () => connect('copies', { key: { name: 'many' } })))
    assert.deepEqual([new Set(all.map(({ session }) => session)).size, all.filter(one => one.spawned).length], [1, 1])
    assert.equal(await read(all[0]?.session ?? ''), 'first')
    await shadow.admin.call('endSession', { params: { session: plain.session } })
    await shadow.eventually(async () => {
      const { items } = await shadow.admin.call('listVolumes', {})
      return !items.some(({ id: name }) => name === (plain.session as string))
    })
  })
})

test('a session runs only on nodes with the labels that it asks for', async () => {
  await shadow.register('placed', { template: { visitors: 'all', pool: { disk: 'ssd' } } } as object)
  const { session, node } = await connect('placed')
  assert.equal(node, shadow.node)
  assert.equal((await shadow.ask(hostOf(session))).status, 200)
  await assert.rejects(connect('placed', { spawn: { pool: { disk: 'nvme' } } }), isCode('no-node'))
})
