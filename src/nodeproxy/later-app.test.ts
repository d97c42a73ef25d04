import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { nodeClient } from '../api/client.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { listen } from '../lib/http/api/request-handler.ts'
import { noLog } from '../lib/log.ts'
import { readSettings } from '../lib/settings.ts'
import type { App } from '../model/app.ts'
import { instanceId } from '../model/instance-id.ts'
import { appName, volumeId } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { aHoldRequest, anApp, aTask } from '../testing/fake-app.ts'
import { FakeLogs } from '../testing/fake-logs.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeRuntime } from '../testing/fake-runtime.ts'
import { FakeVolumes } from '../testing/fake-volumes.ts'
import { inTests } from '../testing/workers.ts'
import { nodeproxySettings } from './config.ts'
import { type Nodeproxy, startNodeproxy } from './main.ts'

const name = appName('blog')
const id = instanceId(name)
const EARLIER = '2026-01-01T00:00:00.000Z'
const LATER = '2026-02-01T00:00:00.000Z'

let runtime: FakeRuntime
let volumes: FakeVolumes
let logs: FakeLogs
let data: string
let master: Awaited<ReturnType<typeof fakeMaster>>
let server: Awaited<ReturnType<typeof listen>>
let node: Nodeproxy
/** As the master has it; undefined: it has removed it. */
let app: App | undefined

beforeEach(async () => {
  runtime = new FakeRuntime()
  runtime.ip = '127.0.0.1'
  volumes = new FakeVolumes()
  logs = new FakeLogs()
  data = await mkdtemp(join(tmpdir(), 'shadow-test-node-'))
  server = await listen(
    createServer((_, response) => response.end('here')),
    { host: '127.0.0.1', port: 0 },
  )
  app = blogOf(EARLIER)
  master = await fakeMaster({
    getApp: () => {
      if (app === undefined) throw new ShadowError('app-not-found', 'it was removed')
      return app
    },
    announceNode: () => ({ cordon: null }),
    leaseVolume: () => ({
      id: volumeId('blog'),
      app: name,
      size: '64MiB',
      lease: { node: 'n1', epoch: 1, until: null },
      createdAt: EARLIER,
    }),
  })
  const flags = { listen: '0', name: 'n1', data, master: master.url, token: FAKE_TOKEN, workers: inTests.workers }
  const config = readSettings(nodeproxySettings, {}, flags)
  const drivers = { runtime, volumes: volumes.drivers, filesystem: volumes, logs }
  node = await startNodeproxy(config, { clock: new HandClock(), log: noLog, drivers })
})

afterEach(async () => {
  await node.stop({ sleep: false })
  await master[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  await rm(data, { recursive: true, force: true })
})

const blogOf = (createdAt: string): App => ({ ...anApp(aTask({ app: name, port: server.port })), createdAt })
const api = () => nodeClient({ url: `http://${node.address}`, token: node.keys.control, withinMs: 5_000 })
const use = async (): Promise<void> =>
  (await node.hold(id, aHoldRequest(), { signal: new AbortController().signal }))[Symbol.dispose]()
const forget = (createdAt: string) => api().call('forgetApp', { params: { app: name }, query: { createdAt } })
const removeVolume = (createdAt: string) =>
  api().call('removeVolume', { params: { volume: 'blog' }, query: { app: name, createdAt } })

test('a master that is late with the removal of an app and its data does not touch a later app of the name', async () => {
  app = blogOf(LATER)
  await use()
  const [container] = runtime.running()
  await forget(EARLIER)
  assert.equal(node.instances()[0]?.phase, 'awake')
  await assert.rejects(removeVolume(EARLIER), error => isFailure(error, 'volume-in-use'))
  assert.ok(volumes.made.has(volumeId('blog')))
  assert.equal(runtime.running()[0]?.id, container?.id)
  await forget(LATER)
  await removeVolume(LATER)
  assert.ok(!volumes.made.has(volumeId('blog')))
})

test('an app whose removal the node has missed leaves its container and its log to no later app of the name', async () => {
  await use()
  logs.note(id, 'a word of the earlier app')
  const [earlier] = runtime.running()
  app = blogOf(LATER)
  await api().call('wakeInstance', { params: { instance: id } })
  const [later, ...others] = runtime.running()
  assert.deepEqual(others, [])
  assert.notEqual(later?.id, earlier?.id)
  expect(JSON.stringify(logs.lines.get(id) ?? [])).not.toContain('a word of the earlier app')
})
