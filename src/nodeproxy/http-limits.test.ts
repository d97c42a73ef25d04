import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { claim } from '../lib/http/listening.ts'
import { noLog } from '../lib/log.ts'
import { readSettings } from '../lib/settings.ts'
import { HandClock } from '../testing/clock.ts'
import { FakeLogs } from '../testing/fake-logs.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeRuntime } from '../testing/fake-runtime.ts'
import { FakeVolumes } from '../testing/fake-volumes.ts'
import { RawClient, until } from '../testing/wire.ts'
import { nodeproxySettings } from './config.ts'
import { startNodeproxy } from './main.ts'

const CHECK = 'GET /server-health-check HTTP/1.1\r\nHost: a\r\n\r\n'

async function aNode(settings: Record<string, string>) {
  const stack = new AsyncDisposableStack()
  const data = await mkdtemp(join(tmpdir(), 'shadow-test-node-'))
  stack.defer(() => rm(data, { recursive: true, force: true }))
  const master = stack.use(await fakeMaster({ announceNode: () => ({ cordon: null }) }))
  const env = {
    SHADOW_MASTER: master.url,
    SHADOW_TOKEN: FAKE_TOKEN,
    SHADOW_DATA: data,
    SHADOW_NODE_LISTEN: '127.0.0.1:0',
    SHADOW_NODE_NAME: 'n1',
    SHADOW_WORKERS: '1',
    ...settings,
  }
  const volumes = new FakeVolumes()
  const drivers = { runtime: new FakeRuntime(), volumes: volumes.drivers, filesystem: volumes, logs: new FakeLogs() }
  const config = readSettings(nodeproxySettings, env)
  const node = stack.use(await startNodeproxy(config, { clock: new HandClock(), log: noLog, drivers }))
  return { port: node.port, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

for (const workers of ['1', '2']) {
  test(`SHADOW_NODE_CONNECTIONS is heeded with ${workers} workers: room is made by idle ones, which its metric shows`, async () => {
    const { address } = await claim({ host: '127.0.0.1', port: 0 })
    await using node = await aNode({
      SHADOW_NODE_CONNECTIONS: '2',
      SHADOW_METRICS_LISTEN: address,
      SHADOW_WORKERS: workers,
    })
    const clients: RawClient[] = []
    for (let made = 0; made < 6; made += 1) {
      const client = new RawClient(node.port, CHECK)
      clients.push(client)
      await until(() => /^HTTP\/1\.1 (200|503) /.test(client.text))
    }
    await until(() => clients.filter(({ ended }) => !ended).length <= 2)
    const shown = await (await fetch(`http://${address}/metrics`)).text()
    const value = (metric: string): number =>
      Number(
        shown
          .split('\n')
          .find(line => line.startsWith(`${metric} `))
          ?.split(' ')[1],
      )
    const room = value('shadow_connections_closed_total{daemon="node",reason="room"}')
    const refused = value('shadow_connections_refused_total{daemon="node",reason="all"}')
    assert.equal(room + refused, clients.filter(({ ended }) => ended).length)
    if (workers === '1') assert(room > 0)
    for (const client of clients) client.socket.destroy()
  })
}

test('SHADOW_METRICS_LISTEN is where a node shows its metrics, until it has stopped', async () => {
  const { address } = await claim({ host: '127.0.0.1', port: 0 })
  {
    await using node = await aNode({ SHADOW_METRICS_LISTEN: address })
    using client = new RawClient(node.port, CHECK)
    await client.until('HTTP/1.1 200 ')
    const text = await (await fetch(`http://${address}/metrics`)).text()
    assert.match(text, /^shadow_requests_total\{daemon="node"\} 1$/m)
    assert.match(text, /^shadow_instances\{phase="awake"\} 0$/m)
  }
  await assert.rejects(fetch(`http://${address}/metrics`))
})
