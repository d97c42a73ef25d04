import assert from 'node:assert/strict'
import { test } from 'vitest'
import { shadow } from '../testing/cli.ts'

test('node ls never shows the key of a node', async () => {
  const node = { name: 'n1', address: '10.0.0.1:8081', key: 'hush-hush-hush-hush', cpus: 2, memoryBytes: 2 ** 31 }
  const more = { cpuUtilization: 0.25, memoryUtilization: 0.5, awake: 3, until: '2026-11-21T12:00:20Z' }
  const answers = { listNodes: () => ({ items: [{ ...node, ...more }] }) }
  for (const line of ['node ls', 'node ls --json'])
    assert.doesNotMatch((await shadow(line, answers)).terminal.stdout, /hush/)
})

const DRAINED = { name: 'n1', address: '10.0.0.1:8081', key: 'hush-hush-hush-hush', cpus: 2, memoryBytes: 2 ** 31 }
const USE = { cpuUtilization: 0.25, memoryUtilization: 0.5, awake: 3, until: '2026-11-21T12:00:20.000Z' }
const SINCE = '2026-11-21T12:00:00.000Z'
const drainOf = (toLeave: number | undefined, state = 'draining') => ({
  ...DRAINED,
  ...USE,
  state,
  since: SINCE,
  toLeave,
  cordon: { since: SINCE, drain: { until: '2026-11-21T12:05:00.000Z', volumes: 'keep' } },
})

test('node ls shows the states of nodes, what an admin wants of them, and what they have', async () => {
  const more = { labels: { zone: 'eu-1' }, volumeSlots: { total: 28, free: 25, idle: 0 }, version: '0.1.0' }
  const items = [
    { ...DRAINED, ...USE, ...more, state: 'healthy', since: SINCE },
    { ...DRAINED, ...USE, name: 'n2', state: 'unhealthy', cordon: { since: SINCE } },
    { ...drainOf(2), name: 'n3' },
    { ...drainOf(0), name: 'n4' },
    { ...drainOf(0, 'gone'), name: 'n5' },
  ]
  const { terminal } = await shadow('node ls', { listNodes: () => ({ items }) })
  const [header, ...rows] = terminal.stdout
    .trimEnd()
    .split('\n')
    .map(line => line.split(/ {2,}/))
  assert.deepEqual(header, [
    'NODE',
    'STATE',
    'SINCE',
    'ADDRESS',
    'ZONE',
    'CPU',
    'MEMORY',
    'VOLUMES',
    'AWAKE',
    'VERSION',
  ])
  const first = ['n1', 'healthy', SINCE, '10.0.0.1:8081', 'eu-1', '25% of 2', '50% of 2GiB', '3/28', '3', '0.1.0']
  assert.deepEqual(rows[0], first)
  assert.deepEqual(
    rows.map(([, state]) => state),
    ['healthy', 'unhealthy,cordoned', 'draining', 'drained', 'gone,draining'],
  )
})

test('node cordon and uncordon say what becomes of the node', async () => {
  for (const [line, call, said] of [
    ['node cordon n1', 'cordonNode', /n1 takes no app that it does not have already/],
    ['node uncordon n1', 'uncordonNode', /n1 takes apps again/],
  ] as const) {
    const { exit, terminal } = await shadow(line, { [call]: () => drainOf(0) })
    assert.deepEqual([exit, terminal.stdout], [0, ''])
    assert.match(terminal.stderr, said)
  }
})

test('node drain waits until the node says that no app has to leave it', async () => {
  const said = [undefined, 0]
  let body: unknown
  const { exit, terminal } = await shadow('node drain n1 --deadline 1m --keep-volumes', {
    drainNode: call => {
      body = call.body
      return drainOf(undefined)
    },
    listNodes: () => ({ items: [drainOf(said.shift())] }),
  })
  assert.deepEqual([exit, body, said], [0, { deadline: '1m', volumes: 'keep' }, []])
  assert.match(terminal.stderr, /n1 drains; apps in use have until 2026-11-21T12:05:00.000Z/)
  assert.match(terminal.stderr, /n1 is drained: only apps whose volume is on its disk run on it/)
})

test('node drain ends if the node is uncordoned meanwhile, or is gone', async () => {
  for (const [node, code] of [
    [{ ...DRAINED, ...USE, state: 'healthy' }, 'changed'],
    [drainOf(1, 'gone'), 'node-unreachable'],
  ] as const) {
    const answers = { drainNode: () => drainOf(1), listNodes: () => ({ items: [node] }) }
    const { exit, terminal } = await shadow('node drain n1 --json', answers)
    assert.notEqual(exit, 0)
    assert.match(terminal.stderr, new RegExp(`"code":"${code}"`))
  }
})

const VOLUME = { id: 'blog', app: 'blog', size: '1GiB', lease: null, createdAt: SINCE }
const PLAN = {
  removed: false,
  lost: [VOLUME],
  free: [{ ...VOLUME, id: 'pooled', app: null, lease: { node: 'n1', epoch: 1, until: SINCE } }],
}

test('node rm removes a drained node without a question; --lost says first what is lost, and wants the name', async () => {
  const calls: unknown[] = []
  const removeNode = ({ query }: { query: Record<string, string> }) => {
    calls.push(query)
    return { ...PLAN, removed: query['dryRun'] !== 'true' }
  }
  assert.equal((await shadow('node rm n1', { removeNode })).exit, 0)
  const lost = await shadow('node rm n1 --lost', { removeNode })
  assert.equal(lost.exit, 2)
  assert.match(lost.terminal.stderr, /lost: volume blog, 1GiB, of the app blog: it was on the disk of the node/)
  assert.match(lost.terminal.stderr, /kept: volume pooled, which no app has: another node may take it from 2026/)
  assert.match(
    lost.terminal.stderr,
    /removes the node n1 for good, and with it the data of one volume, and nobody is here/,
  )
  assert.equal((await shadow('node rm n1 --lost --yes', { removeNode })).exit, 0)
  assert.deepEqual(calls, [
    { lost: 'false' },
    { lost: 'true', dryRun: 'true' },
    { lost: 'true', dryRun: 'true' },
    { lost: 'true' },
  ])
})

test('node ls says whose clock is off, and by how much', async () => {
  const known = { ...DRAINED, ...USE, state: 'healthy', since: SINCE }
  const items = [
    known,
    { ...known, name: 'n2', clockAheadMs: 3_600_000 },
    { ...known, name: 'n3', clockAheadMs: -7_200_000 },
  ]
  const { terminal } = await shadow('node ls', { listNodes: () => ({ items }) })
  assert.deepEqual(terminal.stderr.trimEnd().split('\n'), [
    "the clock of n2 is 1h ahead of the master's: set both by NTP (timedatectl set-ntp true)",
    "the clock of n3 is 2h behind the master's: set both by NTP (timedatectl set-ntp true)",
  ])
})
