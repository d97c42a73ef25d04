import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, test } from 'vitest'
import { type MasterClient, masterClient } from '../../src/api/client.ts'
import { Cluster, storageSetting } from '../tools/cluster.ts'
import { Daemon } from '../tools/daemon.ts'
import { installed } from '../tools/installed.ts'
import { minio, type S3Server } from '../tools/s3-servers.ts'
import { isCode, register, until } from '../tools/shadow.ts'

/** Its sessions open their port three seconds after their start. */
const SLOW = { template: { visitors: 'all' }, env: { LISTEN_AFTER_MS: '3000' } } as const

let built: Awaited<ReturnType<typeof installed>>
let store: S3Server | undefined
let cluster: Cluster
let second: Daemon
beforeAll(async () => {
  built = await installed()
  store = await minio()
  assert.ok(store, 'no minio on the PATH or in the cache folder')
  const storage = storageSetting(store.place('sessions'))
  const settings = { SHADOW_STORAGE: storage, SHADOW_SECRETS_KEY: randomBytes(32).toString('base64') }
  const { shadow } = built
  cluster = await Cluster.start({ shadow, masterSettings: settings, nodes: ['a', 'b'], fronts: ['x', 'y'] })
  second = new Daemon([shadow, 'master', '--data', `${cluster.data}/second`], settings)
  await second.start()
})
afterAll(async () => {
  await second?.end('SIGKILL')
  await cluster?.[Symbol.asyncDispose]()
  await store?.[Symbol.asyncDispose]()
  await built[Symbol.asyncDispose]()
})
afterEach(() => cluster.settle())

/** A client of the second master. */
const atSecond = (): MasterClient =>
  masterClient({ url: `http://127.0.0.1:${second.port}`, token: cluster.token, withinMs: 60_000 })
const connect = (template: string, key?: string, at = cluster.admin) =>
  at.call('connectSession', { body: { template, ...(key !== undefined && { key: { name: key } }) } })
const get = (session: string) => atSecond().call('getSession', { params: { session } })
const end = (session: string) =>
  cluster.admin.call('endSession', { params: { session }, query: { kind: 'hard' } }).catch(error => {
    if (!isCode('session-not-found')(error)) throw error
  })
/** What answers for the session at the front. */
const visit = async (session: string, front = 'x') => {
  const answer = await cluster.at(front).ask(`${session.split('--').reverse().join('.')}.localhost`)
  return { status: answer.status, boot: answer.json?.boot?.id as string, error: answer.headers['x-shadow-error'] }
}
const containers = async (session: string): Promise<string[]> =>
  (await Promise.all(['a', 'b'].map(letter => cluster.containers(letter, session)))).flat()
const letterOf = (node: string | null): 'a' | 'b' => (node === cluster.nameOf('a') ? 'a' : 'b')
const other = (letter: string): string => (letter === 'a' ? 'b' : 'a')

test('a key has one session, whichever master is asked, and one process, whichever front is visited', async () => {
  await register(cluster.admin, 'editor', { template: { visitors: 'all' } })
  const masters = [cluster.admin, atSecond()]
  const all = await Promise.all(Array.from({ length: 20 }, (_, n) => connect('editor', 'doc', masters[n % 2])))
  const { session } = all[0]!
  assert.deepEqual([new Set(all.map(one => one.session)).size, all.filter(({ spawned }) => spawned).length], [1, 1])
  const visits = await Promise.all(['x', 'y', 'x', 'y'].map(front => visit(session, front)))
  assert.deepEqual([visits[0]?.status, new Set(visits.map(({ boot }) => boot)).size], [200, 1])
  assert.equal((await containers(session)).length, 1)
  await end(session)
})

test('a master that dies between the making of a session and its answer leaves one session, and the key is not stuck', async () => {
  await register(cluster.admin, 'slow', SLOW)
  const asking = connect('slow', 'doc')
  asking.catch(() => undefined) // its master dies
  const session = await until(async () => {
    const { items } = await atSecond().call('listSessions', { query: { template: 'slow' } })
    return items[0]?.session
  })
  await cluster.master.end('SIGKILL')
  await assert.rejects(asking)
  // The other master gives the same one, which its first visitor starts, if nothing has. Nodes and fronts know the first master alone.
  const again = await connect('slow', 'doc', atSecond())
  assert.deepEqual([again.session, again.spawned], [session, false])
  await cluster.master.start()
  assert.equal((await visit(session, 'y')).status, 200)
  assert.equal((await containers(session)).length, 1)
  await end(session)
  assert.deepEqual(await containers(session), [])
  const { spawned } = await connect('slow', 'doc')
  assert.equal(spawned, true)
  await end(session)
})

test('a drained node keeps its sessions until they end, and gets no new ones', async () => {
  await register(cluster.admin, 'editor', { template: { visitors: 'all' } })
  const { session, node } = await connect('editor', 'stays')
  const home = letterOf((await get(session)).node ?? node)
  const { boot } = await visit(session)
  await cluster.admin.call('drainNode', { params: { node: cluster.nameOf(home) }, body: {} })
  const others = await Promise.all([1, 2, 3].map(() => connect('editor')))
  for (const one of others) assert.equal(letterOf((await get(one.session)).node), other(home))
  assert.equal((await connect('editor', 'stays')).spawned, false)
  assert.deepEqual(await visit(session, 'y'), { status: 200, boot, error: undefined })
  for (const one of [session, ...others.map(each => each.session)]) await end(one)
})

test('a node that is lost has lost its sessions: their keys are free on another node, and it ends them when it is back', async () => {
  await register(cluster.admin, 'editor', { template: { visitors: 'all' } })
  const { session } = await connect('editor', 'kept')
  const { boot } = await visit(session)
  const home = letterOf((await get(session)).node)
  await cluster.node(home).end('SIGKILL')
  assert.equal((await visit(session)).error, 'node-unreachable')
  await until(async () => (await get(session)).state === 'ended' || undefined)
  assert.equal((await get(session)).end?.reason, 'lost')
  const anew = await connect('editor', 'kept')
  assert.deepEqual([anew.session, anew.spawned], [session, true])
  const next = await visit(session)
  assert.equal(next.status, 200)
  assert.notEqual(next.boot, boot)
  assert.equal(letterOf((await get(session)).node), other(home))
  await cluster.node(home).start()
  await until(async () => (await cluster.containers(home, session)).length === 0 || undefined)
  assert.deepEqual(await visit(session, 'y'), next)
  await end(session)
})
