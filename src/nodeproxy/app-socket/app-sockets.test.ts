import assert from 'node:assert/strict'
import { closeSync, existsSync, openSync, readdirSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { instanceId } from '../../model/instance-id.ts'
import { appName } from '../../model/names.ts'
import { aTask } from '../../testing/fake-app.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { InstanceEnvironment, never } from '../../testing/instance-environment.ts'
import { AppSockets } from './app-sockets.ts'
import { appSocketCalls } from './calls.ts'
import { socketFileIn, socketFolderOf } from './socket-folders.ts'

const blog = instanceId(appName('blog'))
const shop = instanceId(appName('shop'))

/** The sockets of two apps that are awake, in a folder whose path is longer than that of a socket may be. */
async function setUp(folder = join(temporaryFolder('shadow-sockets-'), 'x'.repeat(120))) {
  const environment = new InstanceEnvironment()
  const instances = new Map(
    [blog, shop].map(id => [id, environment.anInstance(aTask({ app: appName(id), volume: undefined }), {}, id)]),
  )
  for (const instance of instances.values()) await instance.wake({ says: 'a test', cause: 'person' }, never)
  const callsOf = appSocketCalls({
    instanceOf: id => instances.get(id),
    master: { call: async () => Promise.reject(new Error('no master in this test')) },
    permitOf: () => undefined,
    clock: environment.clock,
  })
  const sockets = new AppSockets({ folder, callsOf, log: noLog })
  for (const id of instances.keys()) await sockets.open(id)
  const ask = async (method: string, path: string, body?: unknown, id = blog) => {
    const { promise, resolve, reject } = Promise.withResolvers<import('node:http').IncomingMessage>()
    const asked = request({ createConnection: () => socketTo(socketFolderOf(folder, id)), method, path }, resolve)
    asked
      .on('error', reject)
      .end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
    const answer = await promise
    const said = await text(answer)
    return { status: answer.statusCode, json: said === '' ? undefined : JSON.parse(said), headers: answer.headers }
  }
  const of = (id: typeof blog) => instances.get(id)!
  return { folder, environment, sockets, ask, of, [Symbol.asyncDispose]: () => sockets[Symbol.asyncDispose]() }
}

/** A connection by a short path, as the container has one. */
function socketTo(folder: string) {
  const descriptor = openSync(folder, 'r')
  const socket = connect(`/proc/self/fd/${descriptor}/shadow.sock`)
  return socket.once('close', () => closeSync(descriptor))
}

test('an app says that it is busy, and sees its own state', async () => {
  await using app = await setUp()
  const taken = await app.ask('PUT', '/v1/busy', { for: '10m', why: 'resizing\u001b[2J images' })
  assert.equal(taken.status, 200)
  assert.equal(taken.json.why, 'resizing\\x1b[2J images')
  assert.equal(Date.parse(taken.json.until) - Date.parse(taken.json.since), 600_000)
  const { json } = await app.ask('GET', '/v1/instance')
  assert.deepEqual(
    [json.app, json.instance, json.phase, json.revision, json.idleSince, json.sleepsAt],
    ['blog', 'blog', 'awake', 1, null, null],
  )
  assert.deepEqual(
    json.busy.map(({ name }: { name: string }) => name),
    ['busy'],
  )
  assert.deepEqual(app.of(blog).busy.all.length, 1)
  assert.deepEqual(app.of(shop).busy.all, [], 'a socket speaks of its own instance alone')
  assert.equal((await app.ask('DELETE', '/v1/busy')).status, 204)
  const idle = (await app.ask('GET', '/v1/instance')).json
  assert.match(idle.idleSince, /^\d{4}-/)
  assert.match(idle.sleepsAt, /^\d{4}-/)
})

for (const [what, method, path, body, status, says] of [
  ['no body', 'PUT', '/v1/busy', undefined, 400, /write it like/],
  ['what is no JSON', 'PUT', '/v1/busy', '{', 400, /not JSON/],
  ['a time that is none', 'PUT', '/v1/busy', { for: 'long', why: 'x' }, 400, /for/],
  ['more than a day', 'PUT', '/v1/busy', { for: '25h', why: 'x' }, 400, /more than 24h/],
  ['no reason', 'PUT', '/v1/busy', { for: '1m', why: '' }, 400, /why/],
  ['a reason without end', 'PUT', '/v1/busy', { for: '1m', why: 'x'.repeat(4_000) }, 400, /why/],
  ['a body without end', 'PUT', '/v1/busy', { for: '1m', why: 'x'.repeat(5_000) }, 413, /larger than/],
  ['a name that is none', 'PUT', '/v1/busy/..', { for: '1m', why: 'x' }, 404, /there is no call/],
  ['a snapshot of an app without a volume', 'POST', '/v1/snapshot', {}, 400, /has no volume/],
  ['more snapshots than may be kept', 'POST', '/v1/snapshot', { keep: 21 }, 400, /keep/],
  ['a lease that is not there', 'DELETE', '/v1/busy/x', undefined, 404, /no busy lease/],
  ['another call', 'GET', '/v1/apps', undefined, 404, /there is no call GET \/v1\/apps/],
] as const)
  test(`${what} is refused, and the node says why`, async () => {
    await using app = await setUp()
    const answer = await app.ask(method, path, body)
    assert.equal(answer.status, status)
    assert.match(JSON.stringify(answer.json), says)
    assert.deepEqual(app.of(blog).busy.all, [])
  })

test('calls beyond the rate are refused, and those of another app are not', async () => {
  await using app = await setUp()
  const statuses: (number | undefined)[] = []
  for (let count = 0; count < 60; count += 1) statuses.push((await app.ask('GET', '/v1/instance')).status)
  assert.equal(statuses.filter(status => status === 200).length, 50)
  assert.equal(statuses.at(-1), 429)
  assert.equal((await app.ask('GET', '/v1/instance', undefined, shop)).status, 200)
})

test('the socket has any user, its folder is for reading, and both go with the container', async () => {
  await using app = await setUp()
  const folder = socketFolderOf(app.folder, blog)
  assert.equal(statSync(folder).mode & 0o777, 0o755)
  assert.equal(statSync(socketFileIn(folder)).mode & 0o777, 0o666)
  await app.sockets.close(blog, {})
  await app.sockets.close(blog, {})
  assert.equal(existsSync(folder), false)
  assert.equal((await app.ask('GET', '/v1/instance', undefined, shop)).status, 200)
})

test('a node that is started again listens in the same folder, and knows the leases', async () => {
  const first = await setUp()
  await first.ask('PUT', '/v1/busy/import', { for: '2h', why: 'importing' })
  first.sockets.keep(blog, first.of(blog).busy.all)
  await first[Symbol.asyncDispose]()
  await using again = await setUp(first.folder)
  assert.equal((await again.ask('GET', '/v1/instance')).status, 200)
  assert.deepEqual(
    (await again.sockets.kept(blog)).map(({ name, why }) => [name, why]),
    [['import', 'importing']],
  )
  again.sockets.keep(blog, [])
  await again.sockets.close(shop, {})
  assert.deepEqual(await again.sockets.kept(blog), [])
  assert.equal(existsSync(socketFileIn(socketFolderOf(again.folder, shop))), false)
})

test('the folder stays while another release of the instance uses it, and is there for one that begins as it is removed', async () => {
  await using app = await setUp()
  const [former, next, later] = [{}, {}, {}]
  const folder = socketFolderOf(app.folder, blog)
  app.sockets.use(blog, former)
  app.sockets.use(blog, next)
  await app.sockets.close(blog, former)
  assert.equal((await app.ask('GET', '/v1/instance')).status, 200)
  const closed = app.sockets.close(blog, next)
  app.sockets.use(blog, later)
  await app.sockets.open(blog)
  await closed
  assert.equal((await app.ask('GET', '/v1/instance')).status, 200)
  app.sockets.use(blog, next, later)
  await app.sockets.close(blog, next)
  assert.equal(existsSync(folder), false)
})

test('folders are made beforehand for a disk without room, and the folder of an app is no other one’s after it', async () => {
  await using app = await setUp()
  const user = {}
  app.sockets.use(blog, user)
  await app.sockets.close(blog, user)
  const names = readdirSync(app.folder)
  assert.equal(names.filter(name => name.startsWith('spare-')).length, 8)
  assert.deepEqual([existsSync(socketFolderOf(app.folder, blog)), names.length], [false, 9])
})
