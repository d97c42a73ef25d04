/**
 * What a node costs when a front on another machine stands before it, against the one process of `shadow up`. Front and node have a core
 * each. The load is the same number of requests a second for both, so that neither waits for a core.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { wake } from './lib/awake.ts'
import { staticBackend } from './lib/backend.ts'
import { machine, pairedAim, pinTo, print, quantile } from './lib/bench.ts'
import { certificateIn } from './lib/certificate.ts'
import type { Load } from './lib/load.ts'
import { shadow, shadowTwoHops, start } from './lib/peers.ts'
import { processesOf } from './lib/process-tree.ts'
import { rowsOf, sampleOf, type Trial, takeTrials, WARM_CPU_US } from './lib/trials.ts'

const OTHER_CORE = 0 // the front, the load and the back end
const NODE_CORE = 1 // the node, or the whole of `shadow up`
const PATHS = { small: '/', '1MB': '/1MB' }

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '3' },
  },
})
const [rounds, seconds] = [Number(flags.rounds), Number(flags.seconds)]

const samples = new Map<string, number[][]>()
const folder = await mkdtemp(join(tmpdir(), 'shadow-bench-'))
pinTo(OTHER_CORE)
try {
  await using still = await staticBackend(OTHER_CORE, folder)
  const wanted = { ...certificateIn(folder), within: folder, backend: still.address, hostnames: ['localhost'] }
  await using running = new AsyncDisposableStack()
  const [twoHops, oneHop] = [
    await start(shadowTwoHops, OTHER_CORE, { ...wanted, nodeCore: NODE_CORE }),
    await start(shadow, NODE_CORE, wanted),
  ]
  if (twoHops === undefined || oneHop === undefined) throw new Error('Shadow did not start')
  running.use(twoHops)
  running.use(oneHop)
  const [nodePid] = [...(await processesOf(twoHops.pid))].filter(pid => pid !== twoHops.pid)
  if (nodePid === undefined) throw new Error('the front has no node')

  const names: string[] = []
  for (const [size, path] of Object.entries(PATHS)) {
    const closed = (port: number): Load => ({
      ...{ kind: 'closed', path, hostnames: ['localhost'], seconds, port },
      connections: size === 'small' ? 32 : 8,
    })
    await wake(closed(twoHops.plain), twoHops.plain)
    await wake(closed(oneHop.plain), oneHop.plain)
    const trial = (name: string, pid: number, load: Load): Trial => ({ name: `${size}: ${name}`, pid, load })
    const fastest = trial('two hops at their fastest', twoHops.pid, closed(twoHops.plain))
    await takeTrials([fastest], { core: OTHER_CORE, rounds: 1, warmCpuUs: WARM_CPU_US }, samples)
    await takeTrials(
      [trial('one hop at its fastest', oneHop.pid, closed(oneHop.plain))],
      { core: OTHER_CORE, rounds: 1, warmCpuUs: WARM_CPU_US },
      samples,
    )
    const perSecond = Math.round(quantile((samples.get(sampleOf(fastest.name, 'per second')) ?? []).flat(), 0.5) / 2)
    const paced = (port: number): Load => ({ ...closed(port), kind: 'open', perSecond })
    const trials = [
      trial('node behind a front', nodePid, paced(twoHops.plain)),
      trial('one hop', oneHop.pid, paced(oneHop.plain)),
      trial('front and node', twoHops.pid, paced(twoHops.plain)),
    ]
    await takeTrials(trials, { core: OTHER_CORE, rounds, warmCpuUs: 0 }, samples)
    names.push(...trials.map(({ name }) => name))
  }

  const aim = (size: string) =>
    pairedAim(
      `${size}: node/one-hop`,
      1.2,
      samples,
      sampleOf(`${size}: node behind a front`),
      sampleOf(`${size}: one hop`),
    )
  print(
    {
      bench: 'hops',
      machine: machine(),
      rounds,
      rows: names.flatMap(name => rowsOf(name, samples)),
      aims: Object.keys(PATHS).map(aim),
      notes: [
        `core ${NODE_CORE}: the node (with a master), or shadow up; core ${OTHER_CORE}: the front, the load and the back end; ${seconds} s each`,
        'requests come at an even pace, for both half of what two hops do at their fastest',
        'cpu per request: utime + stime of the process and its children and threads, by the answers of 200; without TLS between front and node',
      ],
    },
    flags.json,
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}
