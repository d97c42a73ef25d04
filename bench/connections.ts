import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Backend, echoBackend, staticBackend } from './lib/backend.ts'
import { countAim, machine, pinTo, print, quantile, rowOf } from './lib/bench.ts'
import { type Certificate, certificateIn } from './lib/certificate.ts'
import { type Heap, heapOf } from './lib/heap.ts'
import { load } from './lib/load.ts'
import { nginx, type Peer, type Running, shadow, start } from './lib/peers.ts'
import { openFilesLimit } from './lib/pinned.ts'
import { usageOf } from './lib/process-tree.ts'

const PROXY_CORE = 0
const LOAD_CORE = 1
const WANTED = 20_000
const SPARE = 600 // files that a process has open besides connections (pools, listeners, its own files): a front itself reserves 512
const PER_HOLDER = 8_000

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    count: { type: 'string', default: String(WANTED) },
  },
})
const rounds = Number(flags.rounds)

const files = openFilesLimit()
const [firstPort = 0, lastPort = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
  .split(/\s+/)
  .map(Number)
const most = Math.min(Number(flags.count), lastPort - firstPort - SPARE)
// A front reserves a quarter of its sockets for upstreams. Half of the connections of one app may be WebSockets.
const clients = Math.min(most, Math.floor((files - SPARE) * 0.75))
const counts = { idle: clients, websocket: Math.floor(clients / 2) }
type Kind = keyof typeof counts

const samples = new Map<string, number[][]>()
const folder = await mkdtemp(join(tmpdir(), 'shadow-bench-'))
pinTo(LOAD_CORE)
try {
  const certificate = certificateIn(folder)
  await using still = await staticBackend(LOAD_CORE, folder)
  await using echo = await echoBackend(LOAD_CORE)
  const skipped: string[] = []
  const cases = [nginx, shadow].flatMap(peer => (['idle', 'websocket'] as const).map(kind => ({ peer, kind })))
  for (let round = 0; round < rounds; round++)
    for (const { peer, kind } of round % 2 === 0 ? cases : cases.toReversed()) {
      const figures = await weigh(peer, kind, kind === 'idle' ? still : echo, certificate)
      if (figures === undefined) skipped.push(peer.name)
      for (const [unit, value] of Object.entries(figures ?? {})) {
        const name = `${kind}: ${peer.name}, ${unit}`
        samples.set(name, [...(samples.get(name) ?? []), [value]])
      }
    }
  const plain = (samples.get(`idle: ${shadow.name}, KB`) ?? []).flat()
  print(
    {
      bench: 'connections',
      machine: machine(),
      rounds,
      rows: [...samples.keys()].map(name => rowOf({ name, unit: name.split(', ').at(-1) ?? '' }, samples)),
      aims: [countAim('idle-kb', 12, quantile(plain, 0.5))],
      notes: [
        `${counts.idle} idle keep-alive connections (each has had one answer) and ${counts.websocket} open WebSockets, of ${WANTED} wanted: a process may have ${files} open files here, and a WebSocket takes two of the proxy`,
        `all clients are at one address, which has the ports ${firstPort} to ${lastPort}`,
        'KB: growth of the resident memory of the proxy and its children by the connections held, of ours after a garbage collection; KB of heap: that of its objects and buffers alone; what the kernel holds for a socket is not in it, nor are the slots that nginx lays out for worker_connections at its start',
        ...(skipped.length > 0 ? [`skipped, not installed: ${[...new Set(skipped)].join(', ')}`] : []),
      ],
    },
    flags.json,
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function weigh(
  peer: Peer,
  kind: Kind,
  backend: Backend,
  certificate: Certificate,
): Promise<Record<string, number> | undefined> {
  const wanted = { ...certificate, within: folder, backend: backend.address, hostnames: ['localhost'] }
  await using proxy = await start(peer, PROXY_CORE, wanted)
  if (proxy === undefined) return undefined
  const { plain: port } = proxy
  // The first requests compile the code and open the pools before a connection is measured.
  const path = kind === 'idle' ? '/' : '/echo'
  const warm = { port, path, hostnames: ['localhost'], connections: 64, seconds: 2 }
  await load(LOAD_CORE, { ...warm, kind: kind === 'idle' ? 'closed' : 'websocket' })
  const heapBefore = await heapIn(peer, proxy)
  const before = await usageOf(proxy.pid)
  const holders: Awaited<ReturnType<typeof hold>>[] = []
  for (let left = counts[kind]; left > 0; left -= PER_HOLDER)
    holders.push(await hold({ port, count: Math.min(left, PER_HOLDER), kind }))
  await sleep(2_000)
  const heap = await heapIn(peer, proxy)
  const after = await usageOf(proxy.pid)
  for (const holder of holders) await holder.letGo()
  return {
    KB: (after.rssKiB - before.rssKiB) / counts[kind],
    'MB before': before.rssKiB / 1_024,
    ...(heap && heapBefore && { 'KB of heap': (sizeOf(heap) - sizeOf(heapBefore)) / counts[kind] }),
  }
}

/** Collects garbage first, so that its size is not counted as memory of connections. */
async function heapIn(peer: Peer, { pid, folder }: Running): Promise<Heap | undefined> {
  return peer === shadow ? heapOf(pid, folder) : undefined
}

function sizeOf({ heapKiB, buffersKiB }: Heap): number {
  return heapKiB + buffersKiB
}

type Wanted = { readonly port: number; readonly count: number; readonly kind: Kind }

/** Has a program hold connections until `letGo`. */
async function hold(wanted: Wanted): Promise<{ letGo: () => Promise<void> }> {
  const program = fileURLToPath(import.meta.resolve('./load/holder.ts'))
  const args = [
    '-c',
    String(LOAD_CORE),
    process.execPath,
    program,
    JSON.stringify({ ...wanted, hostname: 'localhost' }),
  ]
  const holder = spawn('taskset', args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: holder.stdout })[Symbol.asyncIterator]()
  const expect = async (line: string): Promise<void> => {
    const { value } = await lines.next()
    if (value !== line)
      throw new Error(`the holder of ${wanted.count} (${wanted.kind}) said "${value}" and not "${line}"`)
  }
  await expect(`held ${wanted.count} failed 0`)
  return {
    async letGo() {
      const gone = once(holder, 'exit')
      holder.stdin.end()
      await expect(`still ${wanted.count}`)
      await gone
    },
  }
}
