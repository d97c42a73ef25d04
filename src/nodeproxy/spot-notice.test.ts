import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'vitest'
import { masterClient } from '../api/client.ts'
import { ShadowError } from '../lib/errors.ts'
import { noLog } from '../lib/log.ts'
import { nodeName } from '../model/names.ts'
import { HandClock } from '../testing/clock.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import type { Told } from './node-cordon.ts'
import { drainOnSpotNotice } from './spot-notice.ts'

const node = nodeName('n1')
const { signal } = new AbortController()

/** A metadata service with the notice that a test sets, and a master; `asked`: how often the notice was asked for. */
async function machine(drainNode: () => unknown) {
  const clock = new HandClock()
  const state = { notice: undefined as string | undefined, asked: 0 }
  const server = createServer((request, response) => {
    if (request.method === 'PUT') return void response.end('a token')
    if (request.headers['x-aws-ec2-metadata-token'] !== 'a token') return void response.writeHead(401).end()
    assert.equal(request.url, '/latest/meta-data/spot/instance-action')
    state.asked += 1
    response.writeHead(state.notice === undefined ? 404 : 200).end(state.notice)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const master = await fakeMaster({ drainNode })
  const taken: Told[] = []
  const options = {
    node,
    master: masterClient({ url: master.url, token: FAKE_TOKEN, withinMs: 5_000 }),
    cordon: { take: (told: Told) => void taken.push(told) },
    clock,
    log: noLog,
    metadata: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  }
  return {
    clock,
    state,
    options,
    taken,
    calls: master.calls,
    async [Symbol.asyncDispose]() {
      server.close()
      await master[Symbol.asyncDispose]()
    },
  }
}
type Machine = Awaited<ReturnType<typeof machine>>

/** Moves the clock until the condition holds, in which real answers arrive. */
async function until({ clock }: Machine, condition: () => boolean): Promise<void> {
  while (!condition()) {
    await clock.advance(500)
    await new Promise(resolve => setImmediate(resolve))
  }
}
const noticeIn = (ms: number, { clock }: Machine): string =>
  JSON.stringify({ action: 'terminate', time: new Date(clock.wall() + ms).toISOString() })

/** The node as the master answers it. */
const drained = () => ({
  name: 'n1',
  address: '10.0.0.1:8081',
  key: 'a-key-of-sixteen-or-more',
  cpus: 2,
  memoryBytes: 1,
  cpuUtilization: 0,
  memoryUtilization: 0,
  awake: 0,
  until: '2026-01-01T00:00:00.000Z',
})

test('a machine that EC2 takes back in two minutes drains with half a minute to spare, and volumes stop in time', async () => {
  await using on = await machine(drained)
  const watching = drainOnSpotNotice(on.options, signal)
  await until(on, () => on.state.asked >= 3)
  assert.deepEqual(on.calls, [])
  on.state.notice = noticeIn(120_000, on)
  await until(on, () => on.calls.length > 0)
  await watching
  const { params, body } = on.calls[0]!
  const { deadline, volumes } = body as { deadline: string; volumes: string }
  assert.deepEqual([params, volumes], [{ node: 'n1' }, 'stop'])
  assert.ok(Number.parseInt(deadline, 10) <= 90_000 && Number.parseInt(deadline, 10) > 60_000, deadline)
  assert.deepEqual(on.taken, [])
})

test('without a master the node refuses wakes by itself, and tells the master once it is back', async () => {
  let isAway = true
  await using on = await machine(() => {
    if (isAway) throw new ShadowError('storage-unreachable', 'the store is away')
    return drained()
  })
  on.state.notice = noticeIn(120_000, on)
  const watching = drainOnSpotNotice(on.options, signal)
  await until(on, () => on.calls.length >= 2)
  assert.equal(on.taken[0]?.cordon?.drain?.volumes, 'stop')
  isAway = false
  const refused = on.calls.length
  await until(on, () => on.calls.length > refused)
  await watching
})

test('a metadata service that does not answer is asked again, and a notice that comes late leaves a few seconds', async () => {
  await using on = await machine(drained)
  on.state.notice = noticeIn(10_000, on)
  const wrong = { ...on.options, metadata: 'http://127.0.0.1:1' }
  const ending = new AbortController()
  const failing = drainOnSpotNotice(wrong, ending.signal)
  await on.clock.advance(11_000)
  ending.abort()
  await failing
  const watching = drainOnSpotNotice(on.options, signal)
  await until(on, () => on.calls.length > 0)
  await watching
  assert.equal((on.calls[0]!.body as { deadline: string }).deadline, '5000ms')
})
