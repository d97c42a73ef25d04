import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { hasProgram } from '../test/tools/programs.ts'
import { wake } from './lib/awake.ts'
import { echoBackend, staticBackend } from './lib/backend.ts'
import { type Aim, machine, pairedAim, pinTo, print, quantile, type Row } from './lib/bench.ts'
import { certificateIn } from './lib/certificate.ts'
import type { Load } from './lib/load.ts'
import { caddy, haproxy, httpProxy, nginx, nginx32k, type Peer, shadow, shadowTwoHops, start } from './lib/peers.ts'
import { rowsOf, sampleOf, type Trial, takeTrials, WARM_CPU_US } from './lib/trials.ts'

const PROXY_CORE = 0
const LOAD_CORE = 1 // the core of the load generator and the back ends; this program, idle during a run, is there too

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string', default: '' },
  },
})
// All 45 cases have to end within 8 minutes; a run with few cases has time for more rounds.
const rounds = Number(flags.rounds ?? (flags.only === '' ? 5 : 7))
const seconds = Number(flags.seconds ?? (flags.only === '' ? 1.5 : 3))

const hostnames = (count: number): string[] =>
  Array.from({ length: count }, (_, at) => (at === 0 ? 'localhost' : `app${at}.bench.example`))

type Group = {
  readonly peers: readonly Peer[]
  /** How many hostnames are registered, and how many of them are requested; both 1 by default. */
  readonly registered?: number
  readonly asked?: number
  readonly backend?: 'echo'
  readonly load: Partial<Load> & Pick<Load, 'connections'>
}

// Cases that an aim compares are neighbours, so that they are measured close together.
const everyPeer = [shadowTwoHops, shadow, nginx, haproxy, caddy, httpProxy]
const groups: Record<string, Group> = {
  small: { peers: everyPeer, load: { connections: 32 } },
  '1MB': {
    peers: [shadowTwoHops, nginx32k, shadow, haproxy, nginx, caddy, httpProxy],
    load: { connections: 8, path: '/1MB' },
  },
  tls: { peers: everyPeer, load: { connections: 32, tls: true } },
  'tls-new': { peers: everyPeer, load: { connections: 8, tls: true, kind: 'fresh' } },
  'tls-resumed': { peers: everyPeer, load: { connections: 8, tls: true, kind: 'fresh', resume: true } },
  '10 routes': { peers: [shadow], registered: 10, asked: 10, load: { connections: 32 } },
  '10000 routes': { peers: [shadow], registered: 10_000, asked: 10, load: { connections: 32 } },
  '1000 apps in rotation': { peers: [nginx, shadow], registered: 10_000, asked: 1_000, load: { connections: 32 } },
  websocket: { peers: everyPeer, backend: 'echo', load: { connections: 32, kind: 'websocket', path: '/echo' } },
}
// Cases that are compared with each other take turns in the same rounds.
const together = [
  ['small'],
  ['1MB'],
  ['tls'],
  ['tls-new'],
  ['tls-resumed'],
  ['10 routes', '10000 routes'],
  ['1000 apps in rotation'],
  ['websocket'],
]

const samples = new Map<string, number[][]>()
const taken: string[] = []
const skipped = new Set<string>()
const folder = await mkdtemp(join(tmpdir(), 'shadow-bench-'))
pinTo(LOAD_CORE)
try {
  const certificate = certificateIn(folder)
  await using still = await staticBackend(LOAD_CORE, folder)
  await using echo = await echoBackend(LOAD_CORE)
  for (const names of together.filter(names => names.some(name => flags.only === '' || name === flags.only))) {
    await using running = new AsyncDisposableStack()
    const trials: Trial[] = []
    if (names[0] === 'small')
      trials.push({ name: 'small: direct', pid: still.pid, load: loadOf('small', Number(still.address.split(':')[1])) })
    for (const name of names) {
      const { peers, backend, registered = 1, load } = groups[name] as Group
      for (const peer of peers) {
        const wanted = {
          ...certificate,
          within: folder,
          backend: (backend === 'echo' ? echo : still).address,
          hostnames: hostnames(registered),
        }
        const proxy = await start(peer, PROXY_CORE, wanted)
        if (proxy === undefined) {
          skipped.add(peer.name)
          continue
        }
        const trial = { name: `${name}: ${peer.name}`, pid: running.use(proxy).pid }
        const asked = loadOf(name, load.tls ? proxy.tls : proxy.plain)
        await wake(asked, proxy.plain)
        trials.push({ ...trial, load: asked })
      }
    }
    await take(trials)
    if (names[0] === 'small') await takeAtHalf(trials)
  }
  report()
} finally {
  await rm(folder, { recursive: true, force: true })
}

function loadOf(group: string, port: number): Load {
  const { asked = 1, load } = groups[group] as Group
  return { kind: 'closed', path: '/', hostnames: hostnames(asked), seconds, port, ...load }
}

async function take(trials: readonly Trial[], warmCpuUs = WARM_CPU_US): Promise<void> {
  taken.push(...trials.map(({ name }) => name))
  await takeTrials(trials, { core: LOAD_CORE, rounds, warmCpuUs }, samples)
}

/** The proxies of the small case again, all at half of nginx's rate there. */
async function takeAtHalf(trials: readonly Trial[]): Promise<void> {
  const perSecond = Math.round(quantile((samples.get(sampleOf('small: nginx', 'per second')) ?? []).flat(), 0.5) / 2)
  if (Number.isNaN(perSecond)) return
  const compared = [nginx, haproxy, shadow, shadowTwoHops].map(({ name }) => `small: ${name}`)
  const half = trials
    .filter(({ name }) => compared.includes(name))
    .map(trial => ({
      ...trial,
      name: trial.name.replace('small', 'half'),
      load: { ...trial.load, kind: 'open', perSecond } as const,
    }))
  await take(half, 0) // they are warm
}

function report(): void {
  const cpu = (id: string, limit: number, ours: string, peer: string): Aim =>
    pairedAim(id, limit, samples, sampleOf(ours), sampleOf(peer))
  const rows: Row[] = taken.flatMap(name => rowsOf(name, samples))
  const aims = [
    cpu('small/nginx', 1.1, 'small: shadow, one hop', 'small: nginx'),
    cpu('small/caddy', 0.33, 'small: shadow, one hop', 'small: caddy'),
    cpu('1MB/haproxy', 0.7, '1MB: shadow, one hop', '1MB: haproxy'),
    cpu('1MB/nginx-32k', 1.3, '1MB: shadow, one hop', '1MB: nginx, 32 KB buffers'),
    cpu('tls/nginx', 1.25, 'tls: shadow, one hop', 'tls: nginx'),
    cpu('tls-new/nginx', 2.5, 'tls-new: shadow, one hop', 'tls-new: nginx'),
    cpu('two-hops/one', 2.1, 'small: shadow, two hops', 'small: shadow, one hop'),
    cpu('10000-routes/10', 1.03, '10000 routes: shadow, one hop', '10 routes: shadow, one hop'),
    pairedAim('p99/nginx', 1.2, samples, sampleOf('half: shadow, one hop', 'p99'), sampleOf('half: nginx', 'p99')),
  ]
  const client = hasProgram('wrk')
    ? 'wrk, and a client of our own where wrk cannot (new TLS connections, several hostnames, websocket, half)'
    : 'a client of our own (wrk is not installed)'
  const notes = [
    `each proxy alone on core ${PROXY_CORE}; load (${client}) and back end (nginx out of memory, an echo in Node for websocket) on core ${LOAD_CORE}; ${seconds} s each; all of them scheduled as batches (SCHED_BATCH)`,
    'cpu per request: utime + stime of the proxy and all its children and threads, by the answers of 200; nginx, haproxy and caddy set X-Forwarded-* as ours does',
    `before it counts each proxy spends ${WARM_CPU_US / 1e6} s of processor time on the load; aims are medians of the rounds' own ratios`,
    'shadow: what shadow up starts (two hops: what proxy starts, and nodeproxy with a master), all accounting, limits and metrics on; only the container is the back end. CPU of two hops is that of front, node and master',
    'direct: the back end itself. tls-new: a whole TLS 1.3 handshake each (ECDSA P-256); tls-resumed: the same with a session to resume. websocket: a request is a message of 100 bytes and its echo',
    'half: requests fall due at an even pace of half of what nginx did in `small`; the time waited for a free connection counts',
    ...(skipped.size > 0
      ? [`skipped, not installed: ${[...skipped].join(', ')}; aims against them have no value and are not met`]
      : []),
  ]
  print({ bench: 'proxy', machine: machine(), rounds, rows, aims, notes }, flags.json)
}
