import assert from 'node:assert/strict'
import { test } from 'vitest'
import { noLog } from '../../../lib/log.ts'
import { besideKey, instanceId } from '../../../model/instance-id.ts'
import { appName } from '../../../model/names.ts'
import { aTask } from '../../../testing/fake-app.ts'
import type { FoundContainer } from '../runtime.ts'
import { HeldNetworks } from './held-networks.ts'
import type { Holder } from './network-holders.ts'

const blog = appName('blog')
const plain = instanceId(blog)
const NAME = 'blog.companion.shadow.internal'
const UNNAMED = 'shadow-n1_network_0a'
const holder: Holder = { id: 'h1', address: '10.0.0.5' }

const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
const answered = (statusCode: number, message: string) => Object.assign(new Error(message), { statusCode })

function heldNetworks() {
  const calls: string[] = []
  const discarded: string[] = []
  const ends = new Map<string, () => void>()
  let refusal: Error | undefined
  const held = new HeldNetworks({
    prepared: { take: () => holder, discard: (...all) => void discarded.push(...all.map(({ id }) => id)) },
    holders: {
      run: 'now',
      async start({ id }) {
        calls.push(`start ${id}`)
        if (refusal !== undefined) throw refusal
      },
      async rename({ id }, name = 'unnamed') {
        calls.push(`rename ${id} ${name}`)
        if (refusal !== undefined) throw refusal
      },
      ended: ({ id }, signal) =>
        new Promise((resolve, reject) => {
          ends.set(id, resolve)
          signal.addEventListener('abort', () => reject(signal.reason), { once: true })
        }),
    },
    kill: async ({ id }) => void calls.push(`kill ${id}`),
    log: noLog,
  })
  const refuse = (error: Error): void => {
    refusal = error
  }
  return { held, calls, discarded, refuse, end: (id: string) => ends.get(id)?.() }
}

const container = (id: string, over: Partial<FoundContainer> & { joins?: string } = {}) => ({
  id,
  app: blog,
  instance: plain,
  revision: 1,
  running: true,
  isPaused: false,
  ip: '10.0.0.5',
  startedAt: '',
  pid: 1,
  ...over,
})

test('a container gets a prepared network unless its own one has to be made for it', () => {
  const { held } = heldNetworks()
  const wanted = { instance: plain, key: plain, task: aTask() }
  assert.equal(
    held.take(wanted, false, () => true),
    holder,
  )
  const scaled = instanceId(blog, 'b')
  assert.equal(
    held.take({ ...wanted, instance: scaled, key: scaled }, false, () => true),
    holder,
  )
  const open = { ...aTask(), egress: ['10.1.2.3:5432'] as never }
  assert.equal(
    held.take({ ...wanted, task: open }, false, () => true),
    holder,
  )
  // Its Docker DNS has links, another name server, or a name that two containers have.
  assert.equal(
    held.take({ ...wanted, task: { ...aTask(), uses: [appName('db')] } }, false, () => true),
    undefined,
  )
  assert.equal(
    held.take({ ...wanted, task: { ...aTask(), egress: ['example.com'] as never } }, false, () => true),
    undefined,
  )
  assert.equal(
    held.take({ ...wanted, key: besideKey(plain, 2) }, false, () => true),
    undefined,
  )
  assert.equal(
    held.take(wanted, true, () => true),
    undefined,
  )
})

test('a network is removed when its container has gone', async () => {
  const { held, discarded } = heldNetworks()
  held.joined(container('c1'), holder)
  assert.equal(held.has({ id: 'c1' }), true)
  await held.left({ id: 'c1' })
  await held.left({ id: 'c1' })
  await held.left({ id: 'other' })
  assert.equal(held.has({ id: 'c1' }), false)
  assert.deepEqual(discarded, ['h1'])
})

test('a companion is found by its name as long as it has its network', async () => {
  const { held, calls } = heldNetworks()
  held.joined(container('c1'), holder)
  held.joined(container('c2', { instance: instanceId(blog, 'b') }), { id: 'h2', address: '10.0.0.6' })
  await held.name(appName('shop'), 'shop')
  assert.deepEqual(calls, [])
  await held.name(blog, NAME)
  await held.name(blog, NAME)
  assert.deepEqual(calls, [`rename h1 ${NAME}`])
  await held.left({ id: 'c1' })
  assert.deepEqual(calls, [`rename h1 ${NAME}`, 'rename h1 unnamed'])
})

test('a name that another container has is told; a holder that is gone has none', async () => {
  const { held, refuse } = heldNetworks()
  held.joined(container('c1'), holder)
  refuse(answered(409, 'Conflict'))
  await assert.rejects(held.name(blog, NAME), { code: 'already-exists' })
  refuse(answered(404, 'No such container: h1'))
  await held.name(blog, NAME)
  assert.equal(held.has({ id: 'c1' }), false)
})

test('a holder that has ended before its container started is started again; one that is gone is told', async () => {
  const { held, calls, refuse } = heldNetworks()
  const down = answered(409, 'cannot join network of a non running container: h1')
  assert.equal(await held.mended(container('c1'), down), false)
  held.joined(container('c1'), holder)
  assert.equal(await held.mended(container('c1'), new Error('something else')), false)
  assert.equal(await held.mended(container('c1'), down), true)
  assert.deepEqual(calls, ['start h1'])
  const gone = { code: 'runtime-unreachable', message: /was removed before blog was started/ }
  await assert.rejects(held.mended(container('c1'), answered(404, 'No such container: h1')), gone)
  refuse(answered(404, 'No such container: h1'))
  await assert.rejects(held.mended(container('c1'), down), gone)
})

test('a container whose network ends is ended too, unless its end is no more watched for', async () => {
  const { held, calls, end } = heldNetworks()
  held.joined(container('c1'), holder)
  using own = held.endsWithNetwork(container('own'))
  assert.ok(own)
  held.endsWithNetwork(container('c1'))[Symbol.dispose]()
  end('h1')
  await settled()
  assert.deepEqual(calls, [])
  using watch = held.endsWithNetwork(container('c1'))
  assert.ok(watch)
  end('h1')
  await settled()
  assert.deepEqual(calls, ['kill c1'])
})

test('after a restart networks in use are taken over, and all others of earlier runs removed once', async () => {
  const { held, calls, discarded } = heldNetworks()
  const found = (id: string, run: string, name = UNNAMED, ip: string | undefined = '10.0.0.5') => ({
    id,
    run,
    name,
    ip,
  })
  const holders = [
    found('used', 'before', NAME),
    found('waits', 'before'),
    found('left', 'before', 'db.companion.shadow.internal'),
    found('new', 'now'),
  ]
  const containers = [container('c1', { joins: 'used' }), container('c2')]
  assert.deepEqual(await held.adopt(containers, holders), [])
  assert.deepEqual(discarded, ['waits', 'left'])
  assert.deepEqual(calls, ['rename left unnamed'])
  assert.deepEqual([held.has({ id: 'c1' }), held.has({ id: 'c2' })], [true, false])
  await held.adopt(containers, holders)
  assert.deepEqual(discarded, ['waits', 'left'])
  await held.left({ id: 'c1' })
  assert.deepEqual(calls, ['rename left unnamed', 'rename used unnamed'])
})

test('containers that run without their network are told, and its holder is removed with them', async () => {
  const { held, discarded } = heldNetworks()
  const lost = container('c1', { joins: 'ended', ip: undefined })
  const lonely = container('c2', { joins: 'removed', ip: undefined })
  const stopped = container('c3', { joins: 'removed', ip: undefined, running: false })
  const holders = [{ id: 'ended', run: 'before', name: UNNAMED, ip: undefined }]
  assert.deepEqual(await held.adopt([lost, lonely, stopped], holders), [lost, lonely])
  await held.left(lost)
  assert.deepEqual(discarded, ['ended'])
})
