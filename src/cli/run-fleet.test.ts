import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { FleetReport } from '../model/fleet.ts'
import { nodeName } from '../model/names.ts'
import { shadow } from '../testing/cli.ts'

const AT = '2026-11-21T11:59:55.000Z'
const report: FleetReport = {
  at: AT,
  driver: 'ec2',
  isDryRun: false,
  max: 2,
  servers: [
    {
      number: 1,
      node: nodeName('prod-1-abcdef'),
      phase: 'serving',
      since: AT,
      machine: 'i-1',
      state: 'running',
      offer: 'm7g.large@subnet-1',
      zone: 'eu-1a',
      awake: 3,
      freeBytes: 2 ** 30,
      usdPerHour: 0.0816,
    },
    {
      number: 2,
      node: nodeName('prod-2-abcdef'),
      phase: 'standby',
      since: AT,
      offer: '',
      note: 'one volume is on the disk',
    },
  ],
  plan: [{ do: 'start', node: 'prod-2-abcdef', why: 'no node has room for blog (1GiB)', usdPerHour: 0.08 }],
  notes: ['shop (9GiB): the fleet has its 2 servers already (SHADOW_FLEET_MAX)'],
  usdPerHour: 0.0825,
  prices: 'a table',
}
const leader = { front: 'front-1', until: '2026-11-21T12:00:50.000Z' }
const fleet = { fronts: ['front-1'], nodes: [], leader, servers: [], report }
const cells = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map(line => line.split(/ {2,}/))

test('fleet ls shows each server with what it costs, and who runs the fleet', async () => {
  const { exit, terminal } = await shadow('fleet ls', { getFleet: () => fleet })
  assert.equal(exit, 0)
  const [, first, second] = cells(terminal.stdout)
  assert.deepEqual(first, [
    'prod-1-abcdef',
    'serving',
    AT,
    'i-1',
    'running',
    'm7g.large@subnet-1',
    'eu-1a',
    '3',
    '1GiB',
    '0.0816',
  ])
  assert.deepEqual(second, ['prod-2-abcdef', 'standby', AT, '-', '-', '-', '-', '-', '-', '?'])
  assert.match(terminal.stderr, /front-1 runs the fleet fleet; as it was at 2026/)
  assert.match(terminal.stderr, /prod-2-abcdef: one volume is on the disk/)
  assert.match(terminal.stderr, /it costs 0.0825 USD an hour, 60.2\d a month \(prices: a table; without traffic\)/)
})

test('fleet plan shows each step with its reason, what it costs, and what keeps the fleet from more', async () => {
  const { terminal } = await shadow('fleet plan', { getFleet: () => fleet })
  assert.deepEqual(cells(terminal.stdout)[1], [
    'start',
    'prod-2-abcdef',
    '-',
    '+0.0800',
    'no node has room for blog (1GiB)',
  ])
  assert.match(terminal.stderr, /shop \(9GiB\): the fleet has its 2 servers already/)
  assert.match(terminal.stderr, /then 0.1625 USD an hour, 118.63 a month/)
  const json = JSON.parse((await shadow('fleet plan --json', { getFleet: () => fleet })).terminal.stdout)
  assert.deepEqual([json.plan, json.usdPerHour, json.usdPerHourThen], [report.plan, 0.0825, 0.1625])
})

test('fleet plan says that nothing is done on a dry run, or that nothing is to be done', async () => {
  const dry = { ...fleet, report: { ...report, isDryRun: true } }
  assert.match(
    (await shadow('fleet plan', { getFleet: () => dry })).terminal.stderr,
    /nothing of this is done: SHADOW_FLEET_DRY_RUN/,
  )
  const idle = { ...fleet, report: { ...report, plan: [] } }
  const { terminal } = await shadow('fleet plan', { getFleet: () => idle })
  assert.deepEqual([terminal.stdout, /nothing is to be done/.test(terminal.stderr)], ['', true])
})

test('a fleet that no front runs, or may run, says so', async () => {
  const none = { fronts: [], nodes: [], leader: null, servers: [] }
  assert.match(
    (await shadow('fleet ls', { getFleet: () => none })).terminal.stderr,
    /no front may run the fleet fleet: shadow fleet allow FRONT/,
  )
  const away = { ...fleet, leader: null }
  const { terminal } = await shadow('fleet plan', { getFleet: () => away })
  assert.match(
    terminal.stderr,
    /no front runs the fleet fleet now, of front-1: is SHADOW_FLEET set there\?; this is how it was at 2026/,
  )
})

test('fleet allow and deny name the front, the fleet and the nodes that were there before', async () => {
  const answers = { allowFleet: () => undefined, denyFleet: () => undefined }
  for (const [line, body] of [
    ['fleet allow front-1 --fleet prod', {}],
    ['fleet allow front-1 --fleet prod --node n3 --node n4', { nodes: ['n3', 'n4'] }],
    ['fleet allow front-1 --fleet prod --without-nodes', { nodes: [] }],
    ['fleet deny front-1 --fleet prod', undefined],
  ] as const) {
    const { exit, calls } = await shadow(line, answers)
    assert.equal(exit, 0)
    assert.deepEqual([calls[0]?.params, calls[0]?.body], [{ fleet: 'prod', front: 'front-1' }, body])
  }
})
