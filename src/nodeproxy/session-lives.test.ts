import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { type NodeClient, nodeClient } from '../api/client.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { listen } from '../lib/http/api/request-handler.ts'
import { noLog } from '../lib/log.ts'
import { readSettings } from '../lib/settings.ts'
import type { App } from '../model/app.ts'
import { type InstanceId, instanceId } from '../model/instance-id.ts'
import { appName, nodeName } from '../model/names.ts'
import { duration } from '../model/quantities.ts'
import type { Session } from '../model/session.ts'
import { HandClock } from '../testing/clock.ts'
import { aHoldRequest, anApp, aTask } from '../testing/fake-app.ts'
import { FakeLogs } from '../testing/fake-logs.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeRuntime } from '../testing/fake-runtime.ts'
import { FakeVolumes } from '../testing/fake-volumes.ts'
import { inTests } from '../testing/workers.ts'
import { nodeproxySettings } from './config.ts'
import { type Nodeproxy, startNodeproxy } from './main.ts'

const name = appName(`editor--${'a'.repeat(16)}`)
const id = instanceId(name)
const instance = { params: { instance: id } }
const never = new AbortController().signal

let clock: HandClock
let runtime: FakeRuntime
let volumes: FakeVolumes
let data: string
let master: Awaited<ReturnType<typeof fakeMaster>>
let server: Awaited<ReturnType<typeof listen>>
let node: Nodeproxy
/** As the master has it; undefined: it has removed it. */
let app: App | undefined
/** What nodes have told: reason, exit code. */
let told: unknown[]
let isMasterAway: boolean

beforeEach(async () => {
  clock = new HandClock()
  runtime = new FakeRuntime()
  runtime.ip = '127.0.0.1'
  volumes = new FakeVolumes()
  told = []
  isMasterAway = false
  data = await mkdtemp(join(tmpdir(), 'shadow-test-node-'))
  server = await listen(
    createServer((_, response) => response.end('here')),
    { host: '127.0.0.1', port: 0 },
  )
  app = aSession()
  master = await fakeMaster({
    getApp: () => {
      if (isMasterAway) throw new ShadowError('storage-unreachable', 'the bucket does not answer')
      if (app === undefined) throw new ShadowError('app-not-found', 'it was removed')
      return app
    },
    announceNode: () => ({ cordon: null }),
    sessionEnded: ({ params, body }) => {
      if (isMasterAway) throw new ShadowError('storage-unreachable', 'the bucket does not answer')
      const { reason, exitCode, createdAt } = body as { reason: string; exitCode?: number; createdAt: string }
      assert.deepEqual([params['session'], createdAt], [name, app?.createdAt])
      told.push(exitCode === undefined ? reason : [reason, exitCode])
      app = undefined
    },
  })
  node = await start()
})

afterEach(async () => {
  await node.stop({ sleep: false })
  await master[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  await rm(data, { recursive: true, force: true })
})

function aSession(changes: Partial<Session> = {}): App {
  const session: Session = {
    template: appName('editor'),
    whenIdle: 'end',
    idle: duration('3s'),
    visitors: 'all',
    node: nodeName('n1'),
    tokens: [],
    ...changes,
  }
  const sleep = { idleAfter: duration('5m'), grace: duration('1s'), webSockets: 'hold' as const }
  return { ...anApp(aTask({ app: name, port: server.port, volume: undefined, sleep })), session }
}

const start = (): Promise<Nodeproxy> => {
  const flags = { listen: '0', name: 'n1', data, master: master.url, token: FAKE_TOKEN, workers: inTests.workers }
  const config = readSettings(nodeproxySettings, {}, flags)
  const drivers = { runtime, volumes: volumes.drivers, filesystem: volumes, logs: new FakeLogs() }
  return startNodeproxy(config, { clock, log: noLog, drivers })
}

const api = (): NodeClient => nodeClient({ url: `http://${node.address}`, token: node.keys.control, withinMs: 5_000 })
const use = async (of: InstanceId = id): Promise<void> =>
  (await node.hold(of, aHoldRequest(), { signal: never }))[Symbol.dispose]()
const phase = () => node.instances()[0]?.phase ?? 'gone'
const ended = (error: unknown): boolean => isFailure(error, 'session-not-found')
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise(resolve => setImmediate(resolve))
}

describe('a session that ends when nobody uses it', () => {
  test('ends after its own idle time, to the millisecond from when it was ready, and its node tells so at once', async () => {
    const gate = runtime.gate('start')
    const waking = api().call('wakeInstance', instance)
    await until(() => runtime.count('start') === 1)
    await clock.advance(30_000) // a slow start is no idle time
    gate.open()
    await waking
    await clock.advance(2_999)
    assert.deepEqual([phase(), told], ['awake', []])
    await clock.advance(1)
    await until(() => told.length > 0)
    assert.deepEqual(told, ['swept'])
    await until(() => phase() === 'gone')
    assert.equal(runtime.containers.size, 0)
  })

  test('is told of as crashed with its exit code, be it ready or not', async () => {
    await use()
    for (const container of runtime.running()) runtime.end(container, { exitCode: 3, outOfMemory: false })
    await until(() => told.length > 0)
    assert.deepEqual(told, [['crashed', 3]])
    await until(() => phase() === 'gone')
    app = { ...aSession(), createdAt: '2026-02-02T00:00:00.000Z' }
    await server[Symbol.asyncDispose]() // its port is open no more: it does not become ready
    runtime.onStart = container => runtime.end(container, { exitCode: 4, outOfMemory: false })
    await assert.rejects(use(), error => isFailure(error, 'app-crashed'))
    await until(() => told.length > 1)
    assert.deepEqual(told[1], ['crashed', 4])
  })

  test('is not woken again, and is told of again and again while no master answers, by the next run of the node too', async () => {
    await use()
    isMasterAway = true
    for (const container of runtime.running()) runtime.end(container, { exitCode: 3, outOfMemory: false })
    const calls = () => master.calls.filter(call => call.name === 'sessionEnded').length
    await until(() => calls() === 1)
    await assert.rejects(use(), ended)
    await until(() => clock.waiting > 0)
    await clock.advance(1_000)
    await until(() => calls() === 2)
    await node.stop({ sleep: false })
    node = await start()
    await until(() => calls() === 3)
    await assert.rejects(use(), ended)
    isMasterAway = false
    await clock.advance(60_000)
    await until(() => told.length > 0)
    assert.deepEqual(told, [['crashed', 3]], 'and not as lost')
    await node.stop({ sleep: false })
    node = await start()
    await clock.advance(60_000)
    assert.equal(told.length, 1)
  })

  test('goes on over a restart of its node, and is lost if its container is gone by then', async () => {
    await use()
    await node.stop({ sleep: false })
    node = await start()
    assert.deepEqual([phase(), told], ['awake', []])
    await node.stop({ sleep: false })
    runtime.containers.clear()
    node = await start()
    await until(() => told.length > 0)
    assert.deepEqual(told, ['lost'])
  })

  test('is ended by sleep, hard or soft, also while it starts, and whoever waits for it is told', async () => {
    for (const [index, kind] of (['soft', 'hard'] as const).entries()) {
      app = { ...aSession(), createdAt: `2026-02-0${index + 1}T00:00:00.000Z` }
      const gate = runtime.gate('start')
      const waiting = use()
      waiting.catch(() => undefined)
      await until(() => runtime.count('start') === index + 1)
      const sleeping = api().call('sleepInstance', { ...instance, query: { kind } })
      await assert.rejects(waiting, ended)
      gate.open()
      assert.equal((await sleeping).phase, 'asleep')
      await until(() => told.length > index)
      await until(() => phase() === 'gone')
    }
    assert.deepEqual(told, ['asked', 'asked'])
    assert.equal(runtime.containers.size, 0)
  })

  test('that a master has begun to end is ended by its node, and woken no more; another one by its name is', async () => {
    await use()
    app = aSession({ ending: { at: '2026-02-02T00:00:00.000Z', reason: 'lifetime', kind: 'soft' } })
    await api().call('sleepInstance', instance)
    await assert.rejects(use(), ended)
    assert.deepEqual(told, [], 'its master knows')
    await clock.advance(10_000)
    await until(() => told.length > 0) // unless it has died
    await until(() => phase() === 'gone')
    app = { ...aSession(), createdAt: '2026-03-03T00:00:00.000Z' }
    await use()
    assert.equal(phase(), 'awake')
  })
})

test('a session is not ended by a master that means an earlier one of its name', async () => {
  await use()
  const createdAt = '2020-01-01T00:00:00.000Z'
  await assert.rejects(api().call('sleepInstance', { ...instance, query: { kind: 'hard', createdAt } }), ended)
  assert.equal(phase(), 'awake')
  assert.ok(app)
  await api().call('sleepInstance', { ...instance, query: { kind: 'hard', createdAt: app.createdAt } })
  assert.notEqual(phase(), 'awake')
})

test('a session that another node has by now ends on a node that was away, and nobody is told', async () => {
  await use()
  await node.stop({ sleep: false })
  app = { ...aSession({ node: nodeName('n2') }), createdAt: '2026-02-02T00:00:00.000Z' }
  node = await start()
  assert.equal(phase(), 'awake') // no master has told it yet
  await api()
    .call('getInstance', instance)
    .catch(() => undefined)
  await until(() => runtime.containers.size === 0 && phase() === 'gone')
  assert.deepEqual(told, [])
})

test('a session that sleeps when nobody uses it is never told of, and wakes again', async () => {
  app = aSession({ whenIdle: 'sleep' })
  await use()
  await clock.advance(3_000)
  await until(() => phase() === 'asleep')
  await use()
  for (const container of runtime.running()) runtime.end(container, { exitCode: 3, outOfMemory: false })
  await until(() => phase() === 'crashed')
  await use()
  await api().call('sleepInstance', { ...instance, query: { kind: 'hard' } })
  await use()
  assert.deepEqual([phase(), told], ['awake', []])
})

test('a longer or shorter idle time counts at once, without a restart', async () => {
  await use()
  app = { ...aSession({ idle: duration('10s') }), updatedAt: '2026-02-02T00:00:00.000Z' }
  await api().call('wakeInstance', instance) // the node reads the app for it
  await clock.advance(9_999)
  assert.equal(phase(), 'awake')
  await use()
  app = { ...aSession({ idle: duration('1s') }), updatedAt: '2026-02-03T00:00:00.000Z' }
  await api().call('wakeInstance', instance)
  await clock.advance(1_000)
  await until(() => told.length > 0)
  assert.deepEqual([told, runtime.count('start')], [['swept'], 1])
})

test('a hard end is at once, whatever is in flight; it shortens a soft one that is under way', async () => {
  for (const first of ['hard', 'soft'] as const) {
    app = { ...aSession({ whenIdle: 'sleep' }), createdAt: new Date(clock.wall()).toISOString() }
    const held = await node.hold(id, aHoldRequest(), { signal: never })
    const sleeping = api().call('sleepInstance', { ...instance, query: { kind: first } })
    await until(() => phase() === 'stopping' || phase() === 'asleep')
    if (first === 'soft') await api().call('sleepInstance', { ...instance, query: { kind: 'hard' } })
    assert.equal((await sleeping).phase, 'asleep')
    held[Symbol.dispose]()
  }
})

test('nothing wakes a template', async () => {
  const { session: _, ...template } = aSession()
  app = { ...template, template: { whenIdle: 'end', most: 10, visitors: 'token' } }
  await assert.rejects(use(), error => isFailure(error, 'is-template'))
  await assert.rejects(api().call('wakeInstance', instance), error => isFailure(error, 'is-template'))
  assert.equal(runtime.count('create'), 0)
})
