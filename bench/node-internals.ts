import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { useFallbacks } from '../src/lib/http/node-internals/fallbacks.ts'
import { wake } from './lib/awake.ts'
import { staticBackend } from './lib/backend.ts'
import { machine, pairedAim, pinTo, print } from './lib/bench.ts'
import { certificateIn } from './lib/certificate.ts'
import type { Load } from './lib/load.ts'
import { type Peer, shadow, start } from './lib/peers.ts'
import { rowsOf, sampleOf, type Trial, takeTrials, WARM_CPU_US } from './lib/trials.ts'

const PROXY_CORE = 0
const LOAD_CORE = 1

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1.5' },
  },
})
const rounds = Number(flags.rounds)
const seconds = Number(flags.seconds)

/** The proxy that uses the fallbacks of these internals of Node, in each of its threads. */
const without = (...internals: Parameters<typeof useFallbacks>[0]): Peer => ({
  ...shadow,
  name: `without ${internals.join(' and ')}`,
  command(setup) {
    const { args, ...rest } = shadow.command(setup)
    const url = new URL(`./peers/without.ts?${internals.join(',')}`, import.meta.url)
    return { ...rest, args: ['--import', url.href, ...args] }
  },
})

type Case = { readonly name: string; readonly peers: readonly Peer[]; readonly load: Omit<Load, 'port'> }

const small: Case['load'] = { kind: 'closed', path: '/', hostnames: ['localhost'], seconds, connections: 32 }
const cases: readonly Case[] = [
  { name: 'small', peers: [shadow, without('reads')], load: small },
  {
    name: 'tls',
    peers: [shadow, without('tls-writes'), without('reads'), without('tls-writes', 'reads')],
    load: { ...small, tls: true },
  },
].filter(({ name }) => flags.only === '' || name === flags.only)

const samples = new Map<string, number[][]>()
const folder = await mkdtemp(join(tmpdir(), 'shadow-bench-'))
pinTo(LOAD_CORE)
try {
  const certificate = certificateIn(folder)
  await using backend = await staticBackend(LOAD_CORE, folder)
  for (const { name, peers, load } of cases) {
    await using running = new AsyncDisposableStack()
    const trials: Trial[] = []
    for (const peer of peers) {
      const wanted = { ...certificate, within: folder, backend: backend.address, hostnames: load.hostnames }
      const proxy = await start(peer, PROXY_CORE, wanted)
      if (proxy === undefined) throw new Error(`${peer.name} is not installed`)
      const asked = { ...load, port: load.tls ? proxy.tls : proxy.plain }
      await wake(asked, proxy.plain)
      trials.push({ name: `${name}: ${peer.name}`, pid: running.use(proxy).pid, load: asked })
    }
    await takeTrials(trials, { core: LOAD_CORE, rounds, warmCpuUs: WARM_CPU_US }, samples)
  }
  const names = cases.flatMap(({ name, peers }) => peers.map(peer => ({ name, peer: peer.name })))
  print(
    {
      bench: 'node-internals',
      machine: machine(),
      rounds,
      rows: names.flatMap(({ name, peer }) => rowsOf(`${name}: ${peer}`, samples)),
      aims: names
        .filter(({ peer }) => peer !== shadow.name)
        // An internal that saves less than a tenth of a request's processor time is not worth its keep.
        .map(({ name, peer }) =>
          pairedAim(
            `${name}: with/${peer}`,
            0.9,
            samples,
            sampleOf(`${name}: ${shadow.name}`),
            sampleOf(`${name}: ${peer}`),
          ),
        ),
      notes: [
        'processor time of a request of one hop with all internals of Node that are used, beside that with the fallbacks of some',
      ],
    },
    flags.json,
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}
