import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import { test } from 'vitest'
import { nodeClient } from '../api/client.ts'
import { listen } from '../lib/http/api/request-handler.ts'
import { noLog } from '../lib/log.ts'
import { readSettings } from '../lib/settings.ts'
import { instanceId } from '../model/instance-id.ts'
import { appName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { anApp, aTask } from '../testing/fake-app.ts'
import { FakeLogs } from '../testing/fake-logs.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeRuntime } from '../testing/fake-runtime.ts'
import { FakeVolumes } from '../testing/fake-volumes.ts'
import { temporaryFolder } from '../testing/folders.ts'
import { nodeproxySettings } from './config.ts'
import { startNodeproxy } from './main.ts'

const blog = instanceId(appName('blog'))

/** A node with an app that may have two instances. `waiting`: requests for /wait that the app has in hand. */
async function aNode() {
  const started = new AsyncDisposableStack()
  const clock = new HandClock()
  const waiting: (() => void)[] = []
  const server = createServer((request: IncomingMessage, response) => {
    if (request.url === '/wait') waiting.push(() => response.end('at last'))
    else response.end('at once')
  })
  const app = started.use(await listen(server, { host: '127.0.0.1', port: 0 }))
  const scaled = { ...anApp(aTask({ port: app.port, volume: undefined })), scale: { min: 0, max: 2 } }
  const master = started.use(await fakeMaster({ getApp: () => scaled, announceNode: () => ({ cordon: null }) }))
  const flags = { listen: '0', name: 'n1', data: temporaryFolder('shadow-node-'), master: master.url }
  const volumes = new FakeVolumes()
  const runtime = new FakeRuntime()
  runtime.ip = '127.0.0.1'
  const drivers = { runtime, volumes: volumes.drivers, filesystem: volumes, logs: new FakeLogs() }
  const config = readSettings(nodeproxySettings, {}, { ...flags, token: FAKE_TOKEN, workers: '1' })
  const node = started.use(await startNodeproxy(config, { clock, log: noLog, drivers }))
  const url = `http://${node.address}`
  const front = nodeClient({ url, token: node.keys.traffic, withinMs: 5_000 })
  const send = (path: string, most: number): Promise<Response> =>
    fetch(`${url}${path}`, {
      headers: { 'x-shadow-app': 'blog', 'x-shadow-key': node.keys.traffic, 'x-shadow-most': String(most) },
    })
  /** Resolves when the node tells so many requests in flight: a place is given back a moment after the answer. */
  const untilInFlight = async (count: number): Promise<void> => {
    while ((await front.call('listLoads', {})).items[0]?.inFlight !== count) await new Promise(setImmediate)
  }
  const control = nodeClient({ url, token: node.keys.control, withinMs: 5_000 })
  const view = () => control.call('getInstance', { params: { instance: blog } })
  return { clock, waiting, front, send, untilInFlight, view, [Symbol.asyncDispose]: () => started.disposeAsync() }
}

test("a front's key keeps an instance awake, and tells the awake ones of apps that are scaled", async () => {
  await using node = await aNode()
  const body = { forMs: 600_000, why: 'at least 1 kept awake' }
  const kept = await node.front.call('keepInstance', { params: { instance: blog }, body })
  assert.deepEqual(kept, { app: 'blog', phase: 'awake' })
  assert.deepEqual(await node.front.call('listLoads', {}), { items: [{ instance: 'blog', inFlight: 0 }] })
  await node.clock.leap(400_000)
  const { phase, kept: keptNow } = await node.view()
  assert.deepEqual([phase, keptNow?.why], ['awake', 'at least 1 kept awake'])
})

test('no instance gets more requests than fronts say that it may have', async () => {
  await using node = await aNode()
  const waits = node.send('/wait', 1)
  await node.untilInFlight(1)
  const refused = await node.send('/', 1)
  assert.deepEqual([refused.status, ((await refused.json()) as { code: string }).code], [503, 'instance-full'])
  assert.equal(refused.headers.get('x-shadow-error'), 'instance-full') // so the front sends it elsewhere
  assert.equal(await (await node.send('/', 2)).text(), 'at once')
  while (node.waiting.length === 0) await new Promise(setImmediate)
  for (const answer of node.waiting) answer()
  assert.equal(await (await waits).text(), 'at last')
  await node.untilInFlight(0)
  assert.equal((await node.send('/', 1)).status, 200)
})
