import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { describedMetrics } from '../../contrib/docs/metrics.ts'
import { WAKE_STEPS } from '../../src/model/instance.ts'
import { freePort } from '../../src/testing/free-port.ts'
import { faultsOfTraces, type OtlpReceiver, otlpReceiver, type ReceivedSpan } from '../../src/testing/otlp-receiver.ts'
import { Cluster } from '../tools/cluster.ts'
import { installed } from '../tools/installed.ts'
import { hasProgram } from '../tools/programs.ts'
import { prometheus } from '../tools/prometheus.ts'
import { register, Shadow, until, WAITS } from '../tools/shadow.ts'
import type { Answer, Visitor } from '../tools/visitor.ts'

const CONTRIB = join(import.meta.dirname, '../../contrib')
const CLIENT = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' }
const TRACEPARENT = `00-${CLIENT.traceId}-${CLIENT.spanId}-01`

let collector: OtlpReceiver
beforeAll(async () => {
  collector = await otlpReceiver()
})
afterAll(() => collector[Symbol.asyncDispose]())

const traced = () => ({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_BSP_SCHEDULE_DELAY: '20' })

/** The spans of an app, once there are so many of this name; fails if what came is wrong. */
async function spansOf(app: string, name: string, count: number): Promise<readonly ReceivedSpan[]> {
  const mine = (): ReceivedSpan[] => collector.spans.filter(({ attributes }) => attributes['shadow.app'] === app)
  const settled = (spans: ReceivedSpan[]): boolean =>
    spans.filter(span => span.name === name).length >= count &&
    spans.every(({ links, parentSpanId }) =>
      [...links.map(({ spanId }) => spanId), ...(parentSpanId ?? CLIENT.spanId).split(',')].every(
        id => id === CLIENT.spanId || spans.some(({ spanId }) => spanId === id),
      ),
    )
  await until(() => settled(mine()) || undefined)
  assert.deepEqual(collector.faults, [])
  assert.deepEqual(faultsOfTraces(mine(), [CLIENT.spanId]), [])
  return mine()
}

const named = (spans: readonly ReceivedSpan[], name: string): ReceivedSpan[] => spans.filter(span => span.name === name)

function only(spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  const [first, ...others] = named(spans, name)
  assert(first !== undefined && others.length === 0, `${name}: ${spans.map(span => span.name).join()}`)
  return first
}

/** The headers of this name that an app saw, by its answer to `/headers`. */
const seen = ({ json }: Answer, name: string): string[] =>
  (json.raw as string[]).filter((_, at, raw) => at % 2 === 1 && raw[at - 1]?.toLowerCase() === name)

/** A request with a traceparent wakes the app. */
async function joinsTrace(visitor: Visitor, app: string, node: string): Promise<void> {
  const headers = { traceparent: TRACEPARENT, tracestate: 'vendor=a,other=b' }
  const answer = await visitor.ask(app, '/headers', { headers })
  assert.equal(answer.status, 200)
  assert.deepEqual([seen(answer, 'traceparent'), seen(answer, 'tracestate')], [[TRACEPARENT], ['vendor=a,other=b']])
  const spans = await spansOf(app, 'ready', 1)
  const [request, hold, wake] = [only(spans, 'request'), only(spans, 'hold'), only(spans, 'wake')]
  assert.deepEqual([request.traceId, request.parentSpanId], [CLIENT.traceId, CLIENT.spanId])
  assert.deepEqual([hold.traceId, hold.parentSpanId], [CLIENT.traceId, request.spanId])
  assert.deepEqual(
    hold.links.map(({ traceId, spanId }) => ({ traceId, spanId })),
    [{ traceId: wake.traceId, spanId: wake.spanId }],
  )
  assert.equal(wake.parentSpanId, undefined)
  assert.notEqual(wake.traceId, CLIENT.traceId)
  assert.deepEqual(
    [request, hold, wake].map(({ resource }) => resource['service.name']),
    ['shadow-front', 'shadow-node', 'shadow-node'],
  )
  const { 'shadow.node': at, 'shadow.cause': cause, 'shadow.outcome': outcome, 'shadow.tier': tier } = wake.attributes
  assert.deepEqual([at, cause, outcome, tier, wake.status.code], [node, 'request', 'awake', 'asleep', 0])
  stagesAddUp(wake, spans, answer)
}

/** Each stage that the client was told of is a child of the wake, and took as long as it was told. */
function stagesAddUp(wake: ReceivedSpan, spans: readonly ReceivedSpan[], { headers }: Answer): void {
  const told = new Map(
    [...String(headers['server-timing']).matchAll(/(\w+);dur=([\d.]+)/g)].map(([, stage = '', ms]) => [
      stage,
      Number(ms),
    ]),
  )
  told.delete('wake')
  const stages = spans.filter(({ parentSpanId }) => parentSpanId === wake.spanId)
  assert.deepEqual(stages.map(({ name }) => name).sort(), [...told.keys()].sort())
  assert(stages.every(({ name }) => (WAKE_STEPS as readonly string[]).includes(name)))
  for (const { name, from, to } of stages)
    assert(Number(to - from) / 1e6 >= (told.get(name) ?? 0) - 0.1, `${name}: ${to - from} ns, ${told.get(name)} ms`)
  const [mount, create, start, ready] = ['mount', 'create', 'start', 'ready'].map(name => only(stages, name))
  assert(mount && create && start && ready)
  assert(mount.to <= start.from && create.to <= start.from && start.to <= ready.from)
}

/** A request without a traceparent that wakes the app: the app joins the trace that the front began; the next request has none. */
async function beginsTrace(visitor: Visitor, app: string): Promise<void> {
  const answer = await visitor.ask(app, '/headers')
  const { traceId, spanId, parentSpanId } = only(await spansOf(app, 'ready', 1), 'request')
  assert.deepEqual(seen(answer, 'traceparent'), [`00-${traceId}-${spanId}-01`])
  assert.equal(parentSpanId, undefined)
  assert.deepEqual(seen(await visitor.ask(app, '/headers'), 'traceparent'), [])
}

type Series = { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number }

/** Metrics as a daemon shows them: the type of each, and all series. */
async function scraped(address: string) {
  const text = await (await fetch(`http://${address}/metrics`)).text()
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => ({ name, type }))
  const series = [...text.matchAll(/^([a-z]\w*)(?:\{(.*)\})? (\S+)$/gm)].map(
    ([, name = '', labels = '', value]): Series => ({
      name,
      labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, of]) => [label, of])),
      value: Number(value),
    }),
  )
  return { text, types, series }
}

/** The metrics are those of the docs, no label has another value than the docs say, and promtool finds no fault. */
async function areAsTold(address: string, sections: readonly string[], without = /^$/): Promise<void> {
  const told = describedMetrics()
    .flatMap(({ title, metrics }) => (sections.includes(title) ? metrics : []))
    .filter(({ name }) => !without.test(name))
  const { text, types, series } = await scraped(address)
  const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1)
  assert.deepEqual(types.sort(byName), told.map(({ name, type }) => ({ name, type })).sort(byName))
  const known = new Map(told.map(metric => [metric.name, metric]))
  for (const { name, labels } of series) {
    const metric = known.get(name) ?? known.get(name.replace(/_(bucket|sum|count)$/, ''))
    for (const [label, value] of Object.entries(labels))
      if (label !== 'le') assert(metric?.labels[label]?.includes(value), `${name}{${label}="${value}"}`)
  }
  if (!hasProgram('promtool')) return
  const checked = promisify(execFile)('promtool', ['check', 'metrics'])
  checked.child.stdin?.end(text)
  assert.deepEqual(await checked, { stdout: '', stderr: '' })
}

const EVERY = 'Of every daemon'

describe('shadow up:', () => {
  let shadow: Shadow
  let metrics: string
  beforeAll(async () => {
    metrics = `127.0.0.1:${await freePort()}`
    shadow = await Shadow.start({ env: { ...traced(), SHADOW_METRICS_LISTEN: metrics } })
  })
  afterAll(() => shadow?.[Symbol.asyncDispose]())

  test('a request with a traceparent: spans of front and node, and a wake with its stages', async () => {
    await shadow.register('up-joins', { volume: { size: '16MiB' } })
    await joinsTrace(shadow, 'up-joins', shadow.node)
  })

  test('a request without one that waits begins a trace, which the app joins', async () => {
    await shadow.register('up-begins', { volume: { size: '16MiB' } })
    await beginsTrace(shadow, 'up-begins')
  })

  test('requests that wait for one wake are linked to it', async () => {
    await shadow.register('up-shared', WAITS)
    const asked = [shadow.ask('up-shared'), shadow.ask('up-shared')]
    await shadow.until('up-shared', ({ waiting }) => waiting === 2)
    await shadow.letGo('up-shared')
    for (const { status } of await Promise.all(asked)) assert.equal(status, 200)
    const spans = await spansOf('up-shared', 'hold', 2)
    const wake = only(spans, 'wake')
    const links = named(spans, 'hold').map(hold => hold.links.map(({ spanId }) => spanId))
    assert.deepEqual(links, [[wake.spanId], [wake.spanId]])
    assert.equal(new Set(named(spans, 'request').map(({ traceId }) => traceId)).size, 2)
  })

  test('a wake that fails has the error and its code, and so have the requests that waited', async () => {
    await shadow.register('up-fails', { command: ['node', '-e', 'process.exit(3)'] })
    const { headers } = await shadow.ask('up-fails')
    const code = headers['x-shadow-error']
    const spans = await spansOf('up-fails', 'request', 1)
    for (const name of ['request', 'hold', 'wake']) {
      const { status, attributes } = only(spans, name)
      assert.deepEqual([status, attributes['error.type']], [{ code: 2, message: code }, code], name)
    }
    assert.equal(only(spans, 'start').status.code, 0)
    // It may have ended before anything asked whether it is ready.
    for (const ready of named(spans, 'ready')) assert.equal(ready.attributes['error.type'], code)
    assert.equal(only(spans, 'wake').attributes['shadow.outcome'], 'failed')
    const { series } = await scraped(metrics)
    const failed = series.find(({ name, labels }) => name === 'shadow_wake_failures_total' && labels['code'] === code)
    assert.equal(failed?.value, 1)
  })

  test('a collector that takes nothing holds nobody up; the spans are counted as lost', async () => {
    collector.mode = 'refuses'
    await shadow.register('up-lost')
    assert.equal((await shadow.ask('up-lost')).status, 200)
    const lost = async (): Promise<true | undefined> => {
      const { series } = await scraped(metrics)
      const of = series.filter(({ name, labels }) => name === 'shadow_spans_total' && labels['outcome'] === 'lost')
      return of.every(({ value }) => value > 0) || undefined
    }
    await until(lost)
    collector.mode = 'takes'
  })

  // It has no log in this process.
  test('its metrics are those of the docs', () =>
    areAsTold(metrics, [EVERY, 'Of a master', 'Of a node', 'Of a front'], /^shadow_log_/))
})

describe('master, node and front as processes of their own:', () => {
  let built: Awaited<ReturnType<typeof installed>>
  let cluster: Cluster
  const at: Record<string, string> = {}
  beforeAll(async () => {
    built = await installed()
    const listens = async (of: string) => {
      at[of] = `127.0.0.1:${await freePort()}`
      return { SHADOW_METRICS_LISTEN: at[of] }
    }
    cluster = await Cluster.start({
      shadow: built.shadow,
      nodes: ['a'],
      fronts: ['x'],
      joined: true,
      masterSettings: await listens('master'),
      settings: {
        a: { ...traced(), ...(await listens('node')), SHADOW_WORKERS: '2' },
        x: { ...traced(), ...(await listens('front')), SHADOW_WORKERS: '2' },
      },
    })
  })
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]()
    await built[Symbol.asyncDispose]()
  })

  test('a request with a traceparent: its span at the front is the parent of the one at the node', async () => {
    await register(cluster.admin, 'joins', { volume: { size: '16MiB' } })
    await joinsTrace(cluster.at('x'), 'joins', cluster.nameOf('a'))
  })

  test('a request without one that waits begins a trace, which the app joins', async () => {
    await register(cluster.admin, 'begins', { volume: { size: '16MiB' } })
    await beginsTrace(cluster.at('x'), 'begins')
  })

  test('the metrics of each are those of the docs', async () => {
    await areAsTold(at['master'] ?? '', [EVERY, 'Of a master'])
    await areAsTold(at['node'] ?? '', [EVERY, 'Of a node'])
    await areAsTold(at['front'] ?? '', [EVERY, 'Of a front'])
  })

  test('workers are added up, and tell of the lag of their event loops', async () => {
    const { series } = await scraped(at['front'] ?? '')
    const value = (name: string, labels: object): number | undefined =>
      series.find(one => one.name === name && Object.entries(labels).every(([label, of]) => one.labels[label] === of))
        ?.value
    assert.equal(value('shadow_answers_total', { daemon: 'front', class: '2xx' }), 3)
    for (const thread of ['main', 'front-worker'])
      assert.notEqual(value('shadow_event_loop_lag_max_seconds', { thread }), undefined, thread)
    const nodes = series.filter(({ name }) => name === 'shadow_front_nodes')
    assert.equal(
      nodes.reduce((sum, one) => sum + one.value, 0),
      1,
    )
  })

  test.skipIf(!hasProgram('prometheus'))(
    'Prometheus takes the metrics and the rules; every panel of the board shows something',
    async () => {
      await using server = await prometheus(Object.values(at), join(CONTRIB, 'prometheus/rules.yml'))
      const board = JSON.parse(await readFile(join(CONTRIB, 'grafana/shadow.json'), 'utf8'))
      const targets = board.panels.flatMap(({ title, targets = [] }: { title: string; targets?: { expr: string }[] }) =>
        targets.map(({ expr }) => ({
          title,
          query: expr.replaceAll('$__rate_interval', '10s').replaceAll('$instance', '.*'),
        })),
      )
      assert(targets.length > 30)
      for (const { title, query } of targets)
        await until(async () => (await server.series(query)) > 0 || undefined).catch(cause =>
          assert.fail(`${title}: ${query}: ${cause}`),
        )
      const rules = await until(async () => {
        const all = await server.rules()
        return all.every(({ health }) => health !== 'unknown') ? all : undefined
      })
      assert.deepEqual(
        rules.filter(({ health }) => health !== 'ok'),
        [],
      )
      assert(rules.length > 20)
      assert.equal(await server.series('ALERTS{alertname="ShadowDown"}'), 0)
    },
  )
})
