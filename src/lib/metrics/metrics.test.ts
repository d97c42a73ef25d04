import assert from 'node:assert/strict'
import { test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { open, RawClient, until } from '../../testing/wire.ts'
import { type Counted, Counters } from '../http/counters.ts'
import { ExchangeServer, netServer } from '../http/downstream/exchange-server.ts'
import { noLog } from '../log.ts'
import { openMetrics } from './listener.ts'
import { Metrics } from './metrics.ts'
import { ROWS } from './rows.ts'

const scrape = async (address: string): Promise<string> => (await fetch(`http://${address}/metrics`)).text()

/** Counters that all have different values. */
function numbered(from: number): Counted {
  const counters: Record<string, unknown> = { ...new Counters(), open: 0 }
  let value = from
  for (const [name, was] of Object.entries(counters)) if (was === 0) counters[name] = value++
  return { ...counters, byClass: [0, 1, 2, 3, 4, 5], byError: { 'too-slow': from } } as unknown as Counted
}

const labelsOf = (labels: Readonly<Record<string, string>> = {}): string =>
  Object.entries({ daemon: 'front', ...labels })
    .map(([name, value]) => `${name}="${value}"`)
    .join(',')

test('every counter is shown, by a name and labels that no other has', async () => {
  const metrics = new Metrics()
  const counted = numbered(1_000)
  metrics.count('front', async () => [counted])
  const lines = (await metrics.text()).body.split('\n')
  for (const [field, { name, labels }] of Object.entries(ROWS)) {
    const wanted = `shadow_${name}{${labelsOf(labels)}} ${counted[field as keyof typeof ROWS]}`
    assert.equal(lines.filter(line => line === wanted).length, 1, wanted)
  }
  for (const wanted of [
    `shadow_connections_open{daemon="front"} ${counted.open}`,
    `shadow_websockets_open{daemon="front"} ${counted.webSocketsOpen}`,
    'shadow_answers_total{daemon="front",class="4xx"} 4',
    'shadow_errors_total{daemon="front",code="too-slow"} 1000',
  ])
    assert(lines.includes(wanted), wanted)
  const shown = new Set(Object.keys(ROWS).concat('byClass', 'byError', 'open', 'webSocketsOpen'))
  assert.deepEqual(
    Object.keys(counted).filter(field => !shown.has(field)),
    [],
  )
})

test('threads are shown as one, daemons apart, and a second scrape adds nothing', async () => {
  const metrics = new Metrics()
  const one = { ...numbered(0), connections: 3 }
  metrics.count('front', async () => [one, { ...one, connections: 4 }])
  metrics.count('node', async () => [])
  await metrics.text()
  const { body } = await metrics.text()
  assert.match(body, /^shadow_connections_total\{daemon="front"\} 7$/m)
  assert.match(body, /^shadow_connections_total\{daemon="node"\} 0$/m)
  assert.match(body, /^shadow_answers_total\{daemon="front",class="5xx"\} 10$/m)
  assert.equal(body.match(/^# TYPE shadow_connections_total counter$/gm)?.length, 1)
})

test('gauges, counts and durations of others are shown when they are asked for', async () => {
  const metrics = new Metrics()
  let awake = 1
  metrics.gauge({ name: 'instances', help: 'Instances', labels: { phase: ['awake'] } }, () => ({ awake }))
  metrics.counter({ name: 'sleeps_total', help: 'Sleeps', labels: { why: ['idle'] } }, () => ({ idle: 2 }))
  const took = metrics.durations({ name: 'wake_seconds', help: 'Wakes' }, [1, 10])
  took(2_000)
  awake = 5
  const { body } = await metrics.text()
  for (const line of [
    'shadow_instances{phase="awake"} 5',
    'shadow_sleeps_total{why="idle"} 2',
    'shadow_wake_seconds_bucket{le="1"} 0',
    'shadow_wake_seconds_bucket{le="10"} 1',
    'shadow_wake_seconds_sum 2',
  ])
    assert(body.includes(`${line}\n`), line)
})

test('a limit that a client runs into moves its counter in the scrape; what was not asked for is not found', async () => {
  const exchanges = new ExchangeServer({
    log: noLog,
    clock: new HandClock(),
    limits: { headers: 16 },
    handler: async exchange => exchange.answer({ status: 204 }),
  })
  await using front = await open(netServer(exchanges))
  const metrics = new Metrics()
  metrics.count('front', async () => [exchanges.counted])
  await using listening = await openMetrics(metrics, { host: '127.0.0.1', port: 0 }, noLog)
  const line = /^shadow_requests_refused_total\{daemon="front",reason="fields"\} (\d+)$/m
  assert.equal(line.exec(await scrape(listening.address))?.[1], '0')
  using client = new RawClient(front.port, `GET / HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(20)}\r\n`)
  await client.until('431 ')
  const after = await scrape(listening.address)
  assert.equal(line.exec(after)?.[1], '1')
  assert.match(after, /^shadow_answers_total\{daemon="front",class="4xx"\} 1$/m)
  assert.match(after, /^shadow_errors_total\{daemon="front",code="head-too-large"\} 1$/m)
  assert.match(after, /^shadow_connections_open\{daemon="front"\} 1$/m)
  client.socket.destroy()
  await until(() => exchanges.counted.open === 0)
  assert.match(
    await scrape(listening.address),
    /^shadow_client_bytes_total\{daemon="front",direction="in"\} [1-9]\d*$/m,
  )
  assert.equal((await fetch(`http://${listening.address}/`)).status, 404)
  assert.equal((await fetch(`http://${listening.address}/metrics`, { method: 'POST' })).status, 405)
  exchanges[Symbol.dispose]()
})
