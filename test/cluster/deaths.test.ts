import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, afterEach, beforeAll, test } from 'vitest'
import type { InstanceView } from '../../src/model/instance.ts'
import { Cluster, storageSetting } from '../tools/cluster.ts'
import { traces } from '../tools/environment.ts'
import { installed } from '../tools/installed.ts'
import { minio, type S3Server } from '../tools/s3-servers.ts'
import { register, until } from '../tools/shadow.ts'
import type { Answer } from '../tools/visitor.ts'

const VOLUME = { volume: { size: '16MiB' } }
/** An app that opens its port 1.5 s after its start. */
const SLOW = { ...VOLUME, env: { LISTEN_AFTER_MS: '1500' } }

let built: Awaited<ReturnType<typeof installed>>
let store: S3Server | undefined
let cluster: Cluster

beforeAll(async () => {
  built = await installed()
  store = await minio()
  assert.ok(store, 'no minio on the PATH or in the cache folder')
  const storage = storageSetting(store.place('deaths'))
  cluster = await Cluster.start({ shadow: built.shadow, storage, nodes: ['a', 'b'], fronts: ['x', 'y'] })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await store?.[Symbol.asyncDispose]()
  await built[Symbol.asyncDispose]()
})
afterEach(() => cluster.settle())

const ask = (app: string, path = '/'): Promise<Answer> => cluster.at('x').ask(app, path)
const instance = (app: string): Promise<InstanceView> => cluster.admin.call('getInstance', { params: { app } })
const letterOf = ({ headers }: Answer): string => (headers['x-shadow-node'] === cluster.nameOf('a') ? 'a' : 'b')
const other = (letter: string): string => (letter === 'a' ? 'b' : 'a')

/** Repeats the request until the answer has this status. Every earlier answer must be one of these errors. */
const answered = (app: string, status: number, errors: readonly string[], front = 'x'): Promise<Answer> =>
  until(async () => {
    const answer = await cluster.at(front).ask(app)
    if (answer.status === status) return answer
    assert.ok(errors.includes(String(answer.headers['x-shadow-error'])), answer.text)
    return undefined
  })

test('a node that is killed loses no request for a stateless app: the next is answered by the other', async () => {
  await register(cluster.admin, 'plain')
  const before = await ask('plain')
  await cluster.node(letterOf(before)).end('SIGKILL')
  const after = await ask('plain')
  assert.deepEqual([after.status, letterOf(after)], [200, other(letterOf(before))])
  assert.notEqual(after.json.boot.id, before.json.boot.id)
  assert.equal(letterOf(await ask('plain')), letterOf(after))
})

test('a node that is killed leaves its apps with volumes unreachable, and answering again once it is back', async () => {
  await register(cluster.admin, 'kept', VOLUME)
  const before = await ask('kept')
  const letter = letterOf(before)
  await cluster.node(letter).end('SIGKILL')
  const during = await ask('kept')
  assert.deepEqual(
    [during.status, during.headers['x-shadow-error'], during.headers['x-shadow-state']],
    [502, 'node-unreachable', 'unreachable'],
  )
  assert.ok(Number(during.headers['retry-after']) >= 1)
  await until(async () => (await cluster.containers(other(letter), 'kept')).length === 0 || undefined)
  await cluster.node(letter).start()
  const after = await answered('kept', 200, ['node-unreachable'])
  assert.deepEqual([after.json.boot, letterOf(after)], [before.json.boot, letter])
})

test('a node that is told to end leaves its apps running and takes them over again; Ctrl-C puts them to sleep', async () => {
  await register(cluster.admin, 'steady', VOLUME)
  const before = await ask('steady')
  const node = cluster.node(letterOf(before))
  assert.equal(await node.end('SIGTERM'), 0)
  assert.equal((await cluster.containers(letterOf(before), 'steady')).length, 1)
  await node.start()
  assert.deepEqual((await answered('steady', 200, ['node-unreachable'])).json.boot, before.json.boot)
  assert.equal(await node.end('SIGINT'), 0)
  assert.deepEqual(await cluster.containers(letterOf(before), 'steady'), [])
  assert.deepEqual(
    (await traces()).filter(trace => trace.includes(`${cluster.data}/`)),
    [],
  )
})

test('two fronts that have chosen differently agree in the end, with one container', async () => {
  await register(cluster.admin, 'moves')
  const atFirst = letterOf(await ask('moves'))
  // Front x is away at the same time as the node, so it never finds the node unhealthy and keeps its pin. Pins survive a restart of the front.
  await cluster.front('x').end('SIGTERM')
  await cluster.node(atFirst).end('SIGKILL')
  assert.equal(letterOf(await cluster.at('y').ask('moves')), other(atFirst))
  await cluster.node(atFirst).start()
  await cluster.front('x').start()
  assert.equal(letterOf(await ask('moves')), atFirst)
  assert.equal(letterOf(await cluster.at('y').ask('moves')), other(atFirst), 'each front has its own pin')

  await cluster.admin.call('updateApp', { params: { app: 'moves' }, body: VOLUME })
  await until(async () => {
    const left = await Promise.all(['a', 'b'].map(letter => cluster.containers(letter, 'moves')))
    return left.flat().length === 1 || undefined // the new revision starts at once, on the node that got the volume
  })
  const answers = await Promise.all(
    ['x', 'y'].map(front => cluster.at(front).ask('moves', '/echo', { method: 'POST', body: 'hello' })),
  )
  assert.deepEqual(
    answers.map(({ status, json }) => [status, json?.bytes]),
    [
      [200, 5],
      [200, 5],
    ],
  )
  const boots = await Promise.all(['x', 'y'].map(async front => (await cluster.at(front).ask('moves')).json.boot.id))
  assert.equal(boots[0], boots[1])
  // The node that came too late for the volume answers at once, and cleans up after its answer.
  await until(async () => {
    const containers = await Promise.all(['a', 'b'].map(letter => cluster.containers(letter, 'moves')))
    return isDeepStrictEqual(containers.map(({ length }) => length).toSorted(), [0, 1]) || undefined
  })
})

test('a front that is killed serves again from what it remembers, also while the master is away', async () => {
  await register(cluster.admin, 'known', VOLUME)
  await register(cluster.admin, 'sleeper', VOLUME)
  const before = await ask('known')
  await ask('sleeper')
  await cluster.admin.call('sleepApp', { params: { app: 'sleeper' } })

  await cluster.front('x').end('SIGKILL')
  await cluster.front('x').start()
  const again = await ask('known')
  assert.deepEqual([again.json.boot, letterOf(again)], [before.json.boot, letterOf(before)])

  await cluster.master.end('SIGKILL')
  await cluster.front('x').end('SIGKILL')
  await cluster.front('x').start()
  assert.deepEqual((await ask('known')).json.boot, before.json.boot)
  assert.equal((await ask('sleeper')).status, 200, 'asleep, it wakes from the last definition')
  const unknown = await ask('nobody')
  assert.deepEqual([unknown.status, unknown.headers['x-shadow-error']], [503, 'master-unreachable'])
  assert.ok(Number(unknown.headers['retry-after']) >= 1)

  await cluster.master.start()
  await answered('nobody', 404, ['master-unreachable'])
})

test('a node that is killed while the master is away serves and wakes its apps when it is started again', async () => {
  await register(cluster.admin, 'awake', VOLUME)
  await register(cluster.admin, 'asleep', VOLUME)
  const before = await ask('awake')
  await ask('asleep')
  await cluster.admin.call('sleepApp', { params: { app: 'asleep' } })
  await cluster.master.end('SIGKILL')
  for (const letter of ['a', 'b']) await cluster.node(letter).end('SIGKILL')
  for (const letter of ['a', 'b']) await cluster.node(letter).start()
  assert.deepEqual((await answered('awake', 200, ['node-unreachable', 'no-node'])).json.boot, before.json.boot)
  assert.equal((await answered('asleep', 200, ['node-unreachable', 'no-node'])).status, 200)
  await cluster.master.start()
})

test('a master that is killed in the middle of wakes loses none that is under way, and nothing that it has said', async () => {
  const apps = Array.from({ length: 4 }, (_, n) => `wakes-${n}`)
  for (const app of apps) await register(cluster.admin, app, SLOW)
  const asked = apps.map(app => ask(app))
  await until(async () => {
    const views = await Promise.all(apps.map(instance))
    return views.every(({ lastWake }) => lastWake?.steps.start !== undefined) || undefined
  })
  await cluster.master.end('SIGKILL')
  const answers = await Promise.all(asked)
  assert.deepEqual(
    answers.map(({ status }) => status),
    apps.map(() => 200),
  )
  await cluster.master.start()
  const { items } = await cluster.admin.call('listApps', {})
  assert.deepEqual(
    items.map(({ name }) => name),
    apps,
  )
  for (const [at, app] of apps.entries()) {
    const { lease } = await cluster.admin.call('getVolume', { params: { volume: app } })
    assert.equal(lease?.node, answers[at]?.headers['x-shadow-node'])
  }
})

test('a master that is killed at any moment leaves every first request answered, or told why not, and the next one served', async () => {
  const apps = Array.from({ length: 6 }, (_, n) => `burst-${n}`)
  for (const app of apps) await register(cluster.admin, app, VOLUME)
  const asked = apps.map(async (app, n) => {
    await wait(n * 40)
    return ask(app)
  })
  await wait(100)
  await cluster.master.end('SIGKILL')
  const answers = await Promise.all(asked)
  for (const { status, headers, text } of answers)
    if (status !== 200) {
      assert.deepEqual([status, headers['x-shadow-error']], [503, 'master-unreachable'], text)
      assert.ok(Number(headers['retry-after']) >= 1)
    }
  await cluster.master.start()
  for (const app of apps) {
    await answered(app, 200, ['master-unreachable'])
    const containers = await Promise.all(['a', 'b'].map(letter => cluster.containers(letter, app)))
    assert.deepEqual(containers.map(({ length }) => length).toSorted(), [0, 1])
  }
})
