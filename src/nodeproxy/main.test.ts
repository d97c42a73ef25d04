import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'vitest'
import { nodeClient } from '../api/client.ts'
import { AnnounceSchema } from '../api/node-schemas.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { readEvents } from '../lib/http/api/events.ts'
import { listen } from '../lib/http/api/request-handler.ts'
import { claim } from '../lib/http/listening.ts'
import { noLog } from '../lib/log.ts'
import { readSettings } from '../lib/settings.ts'
import { instanceId } from '../model/instance-id.ts'
import { NODE_ANNOUNCES_EVERY } from '../model/intervals.ts'
import { type AppName, appName, type VolumeId, volumeId } from '../model/names.ts'
import type { Cordon } from '../model/node-state.ts'
import { HandClock } from '../testing/clock.ts'
import { aHoldRequest, anApp, aTask } from '../testing/fake-app.ts'
import { FakeLogs } from '../testing/fake-logs.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeRuntime } from '../testing/fake-runtime.ts'
import { FakeVolumes } from '../testing/fake-volumes.ts'
import { inTests } from '../testing/workers.ts'
import { nodeproxySettings } from './config.ts'
import { type Nodeproxy, startNodeproxy } from './main.ts'

const blog: AppName = appName('blog')
const blogId = instanceId(blog)
const volume: VolumeId = volumeId('blog')
const never = new AbortController().signal

let clock: HandClock
let runtime: FakeRuntime
let volumes: FakeVolumes
let logs: FakeLogs
let data: string
let master: Awaited<ReturnType<typeof fakeMaster>>
let app: Awaited<ReturnType<typeof listen>>
let saw: IncomingMessage[]
let node: Nodeproxy

/** Whether the master has the app. */
let isRegistered: boolean
/** What the master answers to an announcement. */
let cordon: Cordon | null

beforeEach(async () => {
  clock = new HandClock()
  runtime = new FakeRuntime()
  runtime.ip = '127.0.0.1'
  volumes = new FakeVolumes()
  logs = new FakeLogs()
  saw = []
  cordon = null
  runtime.imageIds.set('blog', 'sha256:0123456789abcdef')
  data = await mkdtemp(join(tmpdir(), 'shadow-test-node-'))
  const server = createServer(async (incoming, response) => {
    saw.push(incoming)
    if (incoming.url === '/odd') return void response.socket?.end('HTTP/1.1 200 OK\r\nX Odd: 1\r\n\r\n')
    if (incoming.url?.startsWith('/hang')) return
    const body = await text(incoming)
    response.writeHead(200, { 'x-shadow-error': 'forged', 'x-own': 'kept' }).end(`app says ${incoming.url} ${body}`)
  })
  app = await listen(server, { host: '127.0.0.1', port: 0 })
  isRegistered = true
  master = await fakeMaster({
    getApp: ({ params }) => {
      if (params['app'] === 'blog' && isRegistered) return anApp(aTask({ port: app.port }))
      throw new ShadowError('app-not-found', `no app ${params['app']}`)
    },
    leaseVolume: () => ({
      id: volume,
      app: blog,
      size: '32MiB',
      lease: { node: 'n1', epoch: 1, until: null },
      createdAt: '2026-01-01T00:00:00.000Z',
    }),
    announceNode: () => ({ cordon }),
  })
  node = await start()
})

afterEach(async () => {
  await node.stop({ sleep: false })
  await master[Symbol.asyncDispose]()
  await app[Symbol.asyncDispose]()
  await rm(data, { recursive: true, force: true })
})

const start = (): Promise<Nodeproxy> => {
  const flags = {
    listen: '0',
    name: 'n1',
    data,
    master: master.url,
    token: FAKE_TOKEN,
    workers: inTests.workers,
    labels: 'zone=eu-1',
    volumeSlots: '7',
  }
  const config = readSettings(nodeproxySettings, {}, { ...flags, reopensWithin: '50ms' })
  return startNodeproxy(config, {
    clock,
    log: noLog,
    drivers: { runtime, volumes: volumes.drivers, filesystem: volumes, logs },
  })
}

const api = (token = node.keys.control) => nodeClient({ url: `http://${node.address}`, token, withinMs: 5_000 })

type Answer = { status: number; headers: IncomingMessage['headers']; body: string }
function send(path: string, headers: OutgoingHttpHeaders = {}, body?: string, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(`http://${node.address}${path}`, {
      method,
      agent: false,
      headers: { 'x-shadow-app': 'blog', 'x-shadow-key': node.keys.traffic, ...headers },
    })
      .on('response', async response =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: await text(response) }),
      )
      .on('error', reject)
      .end(body)
  })
}

const problem = (answer: Answer): string => JSON.parse(answer.body).code

test('a path that is no path of a call is told as such, to anybody', async () => {
  for (const path of ['//', '//:1/', '//[/v1/instances']) {
    const answer = await send(path, { 'x-shadow-app': [] })
    assert.deepEqual([path, answer.status, problem(answer)], [path, 404, 'not-found'])
  }
})

test('a start that fails at its last step leaves no listener open', async () => {
  const { port } = await claim({ host: '127.0.0.1', port: 0 })
  const other = await mkdtemp(join(tmpdir(), 'shadow-test-node-'))
  const flags = { listen: `${port}`, name: 'n2', data: other, master: master.url, token: FAKE_TOKEN }
  const taken = { ...flags, workers: inTests.workers, metricsListen: `127.0.0.1:${app.port}` }
  const config = readSettings(nodeproxySettings, {}, taken)
  const drivers = { runtime: new FakeRuntime(), volumes: volumes.drivers, filesystem: volumes, logs: new FakeLogs() }
  const starting = startNodeproxy(config, { clock, log: noLog, drivers })
  await assert.rejects(starting, error => isFailure(error, 'bad-input'))
  const left = await fetch(`http://127.0.0.1:${port}/server-health-check`).catch(() => undefined)
  assert.equal(left, undefined)
  await rm(other, { recursive: true, force: true })
})

test('a request for an app wakes it, arrives whole, and is told the stages of its wait', async () => {
  const answer = await send('/hello?a=1', { 'content-length': 5 }, 'world', 'POST')
  assert.equal(answer.status, 200)
  assert.equal(answer.body, 'app says /hello?a=1 world')
  assert.match(String(answer.headers['server-timing']), /lease;dur=.*mount;dur=.*ready;dur=.*wake;dur=/)
  assert.equal((await send('/again')).headers['server-timing'], undefined)
})

test('headers of ours do not reach the app, nor do those that the app forges reach anybody', async () => {
  const answer = await send('/', { 'x-shadow-anything': '1' })
  assert.deepEqual(
    Object.keys(saw[0]?.headers ?? {}).filter(name => name.startsWith('x-shadow')),
    [],
  )
  assert.equal(answer.headers['x-shadow-error'], undefined)
  assert.equal(answer.headers['x-own'], 'kept')
  assert.equal(answer.headers['x-shadow-node'], 'n1')
})

test('without the key of the node nothing but its health is told', async () => {
  assert.equal((await send('/', { 'x-shadow-key': 'wrong' })).status, 401)
  assert.equal(runtime.count('start'), 0)
  await assert.rejects(api('wrong').call('listInstances', {}), error => isFailure(error, 'unauthorised'))
  assert.equal((await api('wrong').call('health', {})).overall, false)
})

test('an unknown app, a sleeping one that may not be woken, and a crashed one are told apart', async () => {
  const unknown = await send('/', { 'x-shadow-app': 'nobody' })
  assert.deepEqual([unknown.status, problem(unknown)], [404, 'app-not-found'])
  const asleep = await send('/', { 'x-shadow-wake': 'never' })
  assert.deepEqual([asleep.status, problem(asleep), asleep.headers['x-shadow-state']], [409, 'app-asleep', 'asleep'])
  runtime.onStart = container => runtime.end(container, { exitCode: 9, outOfMemory: false })
  await app[Symbol.asyncDispose]()
  const crashed = await send('/')
  assert.deepEqual([crashed.status, problem(crashed)], [502, 'app-crashed'])
  assert.match(crashed.body, /exit code 9/)
  assert.equal(crashed.headers['x-shadow-error'], 'app-crashed')
})

test('a browser that shows patience is told that the app is waking', async () => {
  const gate = runtime.gate('start')
  const answering = send('/', { 'x-shadow-patience': '300' })
  while (runtime.count('start') === 0) await new Promise(resolve => setImmediate(resolve))
  await clock.advance(300)
  const answer = await answering
  assert.deepEqual([answer.status, problem(answer), answer.headers['retry-after']], [503, 'app-waking', '1'])
  assert.equal(answer.headers['x-shadow-state'], 'waking')
  gate.open()
})

test('an app that ended unseen is woken again for the request that found out', async () => {
  await send('/')
  const { port } = app
  const reborn = createServer((_, response) => response.end('reborn'))
  await app[Symbol.asyncDispose]()
  runtime.containers.clear()
  await clock.advance(1)
  runtime.onStart = () => void reborn.listen(port, '127.0.0.1')
  const answer = await send('/')
  assert.deepEqual([answer.status, answer.body], [200, 'reborn'])
  reborn.close()
  reborn.closeAllConnections()
})

test('a request whose app dies with it in hand is answered 502 app-crashed, at once, and is not sent again', async () => {
  for (const [path, method] of [
    ['/hang', 'GET'],
    ['/hang', 'POST'],
    ['/hang-up', 'GET'],
  ] as const) {
    await send('/') // leaves a kept connection
    const before = saw.length
    const answering = send(path, {}, undefined, method)
    await until(() => saw.length > before)
    for (const container of runtime.running()) runtime.end(container, { exitCode: 137, outOfMemory: true })
    if (path === '/hang-up') saw.at(-1)?.socket.destroy()
    const answer = await answering
    assert.deepEqual([answer.status, problem(answer)], [502, 'app-crashed'])
    assert.deepEqual(JSON.parse(answer.body).facts, { exitCode: 137, outOfMemory: 1 })
    assert.equal(saw.length, before + 1)
    await until(() => node.instances()[0]?.phase === 'crashed')
    await api()
      .call('wakeInstance', { params: { instance: blogId } })
      .catch(() => undefined)
  }
})

test('a connection that ends before the death of its app is known is no reason to send the request again', async () => {
  await send('/')
  const before = saw.length
  const answering = send('/hang')
  await until(() => saw.length > before)
  // The kernel closes the connections of a process first, and reports its end later.
  const [container] = runtime.running()
  runtime.isDying = true
  saw.at(-1)?.socket.destroy()
  await until(() => runtime.runsCalls > 0)
  if (container !== undefined) runtime.end(container, { exitCode: 3, outOfMemory: false })
  const answer = await answering
  assert.deepEqual([answer.status, problem(answer), saw.length], [502, 'app-crashed', before + 1])
  assert.match(JSON.parse(answer.body).detail, /ended with exit code 3/)
})

test('an app that runs and refuses connections is told so', async () => {
  await send('/')
  await app[Symbol.asyncDispose]()
  await clock.advance(60_000) // after the time in which the app may still boot
  const answer = await send('/')
  assert.deepEqual([answer.status, problem(answer)], [502, 'app-unreachable'])
})

test('an app is woken by the client that a front believes in, whatever chain of proxies came with it', async () => {
  await send('/', { 'x-forwarded-for': '6.6.6.6, 203.0.113.9, 10.0.0.1', 'x-shadow-client': '203.0.113.9' })
  assert.equal((await api().call('getInstance', { params: { instance: blogId } })).wokenBy, 'GET / from 203.0.113.9')
  assert.equal(saw[0]?.headers['x-shadow-client'], undefined)
})

test('an answer that is refused is told to whoever asks why, with its header, and is no cut connection', async () => {
  for (const count of [1, 2]) {
    const answer = await send('/odd')
    assert.deepEqual([answer.status, problem(answer)], [502, 'app-bad-answer'])
    assert.doesNotMatch(answer.body, /cut the connection/)
    await until(() => node.instances()[0]?.badAnswer?.count === count)
  }
  const { badAnswer } = await api().call('getInstance', { params: { instance: blogId } })
  assert.match(badAnswer?.fault ?? '', /not a name and a colon at once: "X Odd"$/)
  const told = logs.lines.get(blogId)?.filter(({ line }) => /refused/.test(line))
  assert.equal(told?.length, 1, 'told once in the log of the app')
  assert.match(told?.[0]?.line ?? '', /"X Odd"/)
})

test('instances are shown, woken and put to sleep by the API', async () => {
  const client = api()
  assert.equal((await client.call('getInstance', { params: { instance: blogId } })).phase, 'asleep')
  const awake = await client.call('wakeInstance', { params: { instance: blogId } })
  assert.deepEqual([awake.phase, awake.wokenBy], ['awake', 'a person who asked'])
  assert.equal((await client.call('listInstances', {})).items.length, 1)
  assert.equal((await client.call('sleepInstance', { params: { instance: blogId } })).phase, 'asleep')
  await assert.rejects(client.call('getInstance', { params: { instance: instanceId(appName('nobody')) } }), error =>
    isFailure(error, 'app-not-found'),
  )
})

test('what is asked wrongly is told with its fault', async () => {
  const { body, status } = await send('/v1/instances/Blog!', {
    'x-shadow-app': [],
    authorization: `Bearer ${node.keys.control}`,
  })
  assert.equal(status, 400)
  assert.equal(JSON.parse(body).faults[0].field, 'instance')
  const lost = await send('/v1/nonsense', { 'x-shadow-app': [], authorization: `Bearer ${node.keys.control}` })
  assert.deepEqual([lost.status, problem(lost)], [404, 'not-found'])
})

test('a forgotten app sleeps, and its log is gone', async () => {
  await send('/')
  assert.ok(logs.lines.has(blogId))
  await api().call('forgetApp', { params: { app: blog } })
  assert.equal(runtime.containers.size, 0)
  assert.equal(logs.lines.has(blogId), false)
  assert.deepEqual(node.instances(), [])
})

test('log lines are told as NDJSON', async () => {
  await send('/')
  const answer = await api().raw('instanceLogs', { params: { instance: blogId }, query: { tail: 10 } })
  assert.equal(answer.headers['content-type'], 'application/x-ndjson')
  const lines = (await text(answer.body)).trim().split('\n')
  assert.match(JSON.parse(lines[0] ?? '').line, /^awake after/)
})

test('a follower sees the phases as they come, and is let go when the node stops', async () => {
  const answer = await api().raw('followInstance', { params: { instance: blogId }, signal: never })
  const told = text(answer.body)
  await send('/')
  await node.stop({ sleep: false })
  assert.match(await told, /"phase":"asleep".*"phase":"waking".*"phase":"awake"/s)
})

test("a front's key follows a wake, and does nothing else: control is for masters", async () => {
  const front = api(node.keys.traffic)
  const params = { instance: blogId }
  const refused = (call: Promise<unknown>) => assert.rejects(call, error => isFailure(error, 'forbidden'))
  await send('/')
  await refused(front.call('listInstances', {}))
  await refused(front.call('getInstance', { params }))
  await refused(front.call('wakeInstance', { params }))
  await refused(front.call('sleepInstance', { params }))
  await refused(front.call('forgetInstance', { params }))
  await refused(front.raw('instanceLogs', { params, query: {} }))
  await refused(front.call('removeVolume', { params: { volume } }))
  assert.equal(volumes.made.has(volume), true)
  const leaving = new AbortController()
  const { body } = await front.raw('followInstance', { params, signal: leaving.signal })
  const events = readEvents(body)
  assert.deepEqual((await events.next()).value, { app: 'blog', phase: 'awake' })
  leaving.abort()
  // Conversely, the control key is refused on a request for an app.
  assert.equal((await send('/', { 'x-shadow-key': node.keys.control })).status, 401)
})

test('a volume that an app has is not removed, unless that app goes with it; nor is one in use', async () => {
  const remove = (query: { app?: AppName } = {}) => api().call('removeVolume', { params: { volume }, query })
  const inUse = (call: Promise<unknown>) => assert.rejects(call, error => isFailure(error, 'volume-in-use'))
  await send('/')
  await inUse(remove({ app: blog }))
  await api().call('sleepInstance', { params: { instance: blogId } })
  await inUse(remove())
  await inUse(remove({ app: appName('other') }))
  assert.equal(volumes.made.has(volume), true)
  await remove({ app: blog })
  assert.equal(volumes.made.has(volume), false)
})

test('a volume whose app was removed, which nobody has told us, is removed with what is left of the app', async () => {
  await send('/')
  await api().call('sleepInstance', { params: { instance: blogId } })
  isRegistered = false
  await api().call('removeVolume', { params: { volume } })
  assert.equal(volumes.made.has(volume), false)
  assert.deepEqual(node.instances(), [])
})

test('a lease is remembered: later wakes, and those after a restart, need no master', async () => {
  await send('/')
  const leases = () => master.calls.filter(({ name }) => name === 'leaseVolume').length
  assert.equal(leases(), 1)
  await node.stop({ sleep: true })
  assert.deepEqual(JSON.parse(await readFile(`${data}/volumes/blog/lease.json`, 'utf8')), { node: 'n1', epoch: 1 })
  await master[Symbol.asyncDispose]()
  node = await start()
  assert.equal((await send('/')).status, 200)
})

test('a volume that another node has is told of with that node', async () => {
  await node.stop({ sleep: false })
  await master[Symbol.asyncDispose]()
  master = await fakeMaster({
    getApp: () => anApp(aTask({ port: app.port })),
    leaseVolume: () => {
      throw new ShadowError('volume-elsewhere', 'n2 has it', { facts: { node: 'n2' } })
    },
  })
  node = await start()
  const answer = await send('/')
  assert.deepEqual([answer.status, JSON.parse(answer.body).facts], [421, { node: 'n2' }])
  assert.equal(volumes.devices.size, 0)
})

test('in the same process an app is held without a hop, by its id: the node resolves the definition itself', async () => {
  for (let times = 0; times < 2; times++) {
    using held = await node.hold(blogId, aHoldRequest(), { signal: never })
    assert.equal(held.address, `127.0.0.1:${app.port}`)
  }
  assert.equal(master.calls.filter(({ name }) => name === 'getApp').length, 1)
})

test('a node that stops without sleep leaves its apps running, and the next start takes them over', async () => {
  await send('/')
  await node.stop({ sleep: false })
  assert.equal(runtime.running().length, 1)
  node = await start()
  assert.equal(node.instances()[0]?.phase, 'awake')
  await send('/')
  assert.equal(runtime.count('start'), 1)
})

test('a node that stops with sleep leaves nothing', async () => {
  await send('/')
  await node.stop({ sleep: true })
  assert.equal(runtime.containers.size, 0)
  assert.equal(volumes.devices.size, 0)
})

test('two nodes on one data folder are refused', async () => {
  await assert.rejects(start(), error => isFailure(error, 'data-in-use'))
})

test('a node whose Docker is away starts, says so, and serves once it is back', async () => {
  await node.stop({ sleep: false })
  runtime.isAlive = false
  node = await start()
  const health = await api().call('health', {})
  assert.deepEqual([health.overall, health.container_backend], [true, true])
  const answer = await send('/')
  assert.deepEqual([answer.status, problem(answer)], [503, 'runtime-unreachable'])
  runtime.isAlive = true
  assert.equal((await send('/')).status, 200)
})

test('it announces itself, with the keys that its callers need', async () => {
  await until(() => master.calls.some(({ name }) => name === 'announceNode'))
  const { body, params } = master.calls.find(({ name }) => name === 'announceNode')!
  assert.equal(params['node'], 'n1')
  const { key, controlKey } = body as Record<string, string>
  assert.deepEqual({ traffic: key, control: controlKey }, node.keys)
  assert.equal((body as { address: string }).address, node.address)
})

test('it announces what placement goes by: labels, room, volume slots, images, version', async () => {
  await until(() => master.calls.some(({ name }) => name === 'announceNode'))
  const { labels, room, volumeSlots, images, version, trouble, toLeave } = AnnounceSchema.parse(
    master.calls.find(({ name }) => name === 'announceNode')!.body,
  )
  assert.deepEqual([labels, volumeSlots, images], [{ zone: 'eu-1' }, { total: 7, free: 7, idle: 0 }, ['0123456789ab']])
  assert.ok(room !== undefined && room.freeBytes > 0 && room.freeBytes <= room.reservableBytes)
  assert.match(version ?? '', /^\d+\.\d+\.\d+/)
  assert.deepEqual([trouble, toLeave], [false, undefined])
})

test('a cordon that the master answers with is kept at once: no new app is taken', async () => {
  const announcements = () => master.calls.filter(({ name }) => name === 'announceNode').length
  // The node sends the second announcement after it has read the answer to the first.
  const twoMore = async (): Promise<void> => {
    const before = announcements()
    while (announcements() < before + 2) {
      await clock.advance(NODE_ANNOUNCES_EVERY)
      await new Promise(resolve => setTimeout(resolve, 1))
    }
  }
  cordon = { since: '2026-01-01T00:00:00.000Z' }
  await twoMore()
  const answer = await send('/')
  assert.deepEqual([answer.status, problem(answer)], [503, 'node-cordoned'])
  await assert.rejects(api().call('wakeInstance', { params: { instance: 'blog' } }), error =>
    isFailure(error, 'node-cordoned'),
  )
  cordon = null
  await twoMore()
  assert.equal((await send('/')).status, 200)
})

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(resolve => setTimeout(resolve, 1))
}
