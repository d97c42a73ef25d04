import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'vitest'
import { listen } from '../../lib/http/api/request-handler.ts'
import { shadow } from '../../testing/cli.ts'
import { anApp } from '../../testing/fake-app.ts'
import { instanceView } from '../../testing/fake-node.ts'
import { FakeTerminal } from '../../testing/fake-terminal.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { writeEndpoints } from '../endpoints.ts'
import { run } from '../run.ts'
import { skewFinding } from './clocks.ts'
import type { Finding } from './finding.ts'
import { runChecks } from './run-checks.ts'

const NOW = Date.parse('2027-01-15T12:00:00Z')

for (const [seconds, level, value] of [
  [0, 'ok', 'the same'],
  [20, 'warning', '20s ahead'],
  [-20, 'warning', '20s behind'],
  [3_600, 'problem', '1h ahead'],
] as const)
  test(`a clock that differs by ${seconds} s is ${level}`, () => {
    const [found] = skewFinding(new Date(NOW - 1_000 * seconds).toUTCString(), NOW, 'the master')
    assert.deepEqual([found?.level, found?.value], [level, value])
  })

test('a check that fails or never ends is a finding, and the others are heard', async () => {
  const findings = await runChecks(
    [
      { name: 'broken', run: async () => Promise.reject(new Error('oh')) },
      { name: 'slow', run: () => new Promise(() => undefined) },
      { name: 'good', run: async () => [{ level: 'ok', check: 'good', what: 'it', where: 'here', value: 'fine' }] },
    ],
    50,
  )
  assert.deepEqual(
    findings.map(({ level, check, value }) => [level, check, value]),
    [
      ['problem', 'broken', 'oh'],
      ['problem', 'slow', 'no answer within 0.05 s'],
      ['ok', 'good', 'fine'],
    ],
  )
})

const NODE = { name: 'n1', address: '10.0.0.1:8081', key: 'hush-hush-hush-hush', cpus: 2, memoryBytes: 2 ** 31 }
const USE = { cpuUtilization: 0.25, memoryUtilization: 0.5, awake: 3, until: '2026-11-21T12:00:20.000Z' }
const VOLUME = { id: 'blog', app: 'blog', size: '1GiB', lease: null, createdAt: '2026-11-01T00:00:00.000Z' }
const BACKUPS = { volume: 'blog', storedBytes: 0, policy: null, run: null, verified: null, failure: null }

test('unhealthy nodes, clocks, crashes and backups that fail or were never verified are told, and keys are not', async () => {
  const verifiedAt = '2026-11-20T12:00:00.000Z'
  const volumes = [
    { ...VOLUME, backups: { count: 3, bytes: 1, newestAt: verifiedAt, verifiedAt, isFailing: false } },
    { ...VOLUME, id: 'shop', app: 'shop', backups: { count: 3, bytes: 1, newestAt: verifiedAt, isFailing: false } },
    { ...VOLUME, id: 'wiki', app: 'wiki', backups: { count: 3, bytes: 1, newestAt: verifiedAt, isFailing: true } },
  ]
  const { exit, terminal } = await shadow('doctor --cluster --quiet', {
    health: () => ({ ok: true, storage: 'memory' }),
    listNodes: () => ({
      items: [
        { ...NODE, ...USE, state: 'healthy', version: '0.1.0' },
        { ...NODE, ...USE, name: 'n2', state: 'unhealthy', since: '2026-11-21T11:00:00.000Z', version: '0.2.0' },
        { ...NODE, ...USE, name: 'n3', state: 'healthy', clockAheadMs: 5_000, version: '0.2.0' },
      ],
    }),
    listApps: () => ({ items: [anApp()], next: null }),
    listInstances: () => ({ items: [{ ...instanceView('blog', 'n1', 'crashed'), failures: 4 }], silent: ['n2'] }),
    listVolumes: () => ({ items: volumes }),
    listBackups: () => ({ ...BACKUPS, items: [] }),
  })
  assert.equal(exit, 1, terminal.stderr)
  const said = terminal.stdout
  for (const wanted of [
    /problem +nodes: a node: unhealthy since 2026-11-21T11.* \(n2\)\n +mend: on n2:/,
    /problem +clock: the clock of a node.*: 5s ahead \(n3\)/,
    /warning +nodes: versions of Shadow: 0.1.0, 0.2.0/,
    /problem +apps: an app crashes: .*\(blog\)/,
    /problem +nodes: a node: does not answer the master \(n2\)/,
    /warning +backups: no backup was restored for a test lately: never \(shop\)\n +mend: shadow backup verify shop/,
    /problem +backups: the last backup of a volume failed: .* \(wiki\)/,
  ])
    assert.match(said, wanted)
  assert.doesNotMatch(said, /hush|^ok/m)
})

test('the port that the master of this data folder has is its own, and that of a stranger is not', async () => {
  await using server = await listen(createServer(), { host: '127.0.0.1', port: 0 })
  const data = temporaryFolder('shadow-test-doctor-')
  const env = { HOME: data, SHADOW_MASTER_LISTEN: server.address }
  const asked = async (): Promise<Finding | undefined> => {
    const terminal = new FakeTerminal({ env, now: Date.now() })
    await run(['doctor', '--machine', '--role', 'master', '--data', data, '--json'], terminal)
    return (JSON.parse(terminal.stdout).findings as Finding[]).find(({ check }) => check === 'ports')
  }
  assert.equal((await asked())?.value, 'another program has it')
  await writeEndpoints(data, { master: `http://${server.address}` })
  assert.equal((await asked())?.value, 'the master listens on it')
})
