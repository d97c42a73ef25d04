import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { readEndpoints } from '../src/cli/endpoints.ts'
import { countAim, machine, pinTo, print, quantile, type Row, rowOf } from './lib/bench.ts'
import { certificateIn } from './lib/certificate.ts'
import { heapOf } from './lib/heap.ts'
import { inUse } from './lib/in-use.ts'
import { shadow, shadowTwoHops, start } from './lib/peers.ts'
import { freePorts, startPinned } from './lib/pinned.ts'
import { usageOf } from './lib/process-tree.ts'
import { type OpenSocket, saidOf, socketsOf } from './lib/sockets.ts'

const PROXY_CORE = 0
const LOAD_CORE = 1
const SAMPLES = 60
/** Idle connections to apps are closed after seconds; the second ping detects a WebSocket whose client is gone. */
const SETTLES_WITHIN_MS = 120_000

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '600' },
    hops: { type: 'string', default: '1' },
  },
})
const seconds = Number(flags.seconds)

const folder = await mkdtemp(join(tmpdir(), 'shadow-soak-'))
pinTo(LOAD_CORE)
try {
  const [port = 0] = await freePorts(1)
  const program = (name: string): string => fileURLToPath(import.meta.resolve(name))
  const node = process.execPath
  await using app = await startPinned(LOAD_CORE, { command: node, args: [program('./load/app.ts'), String(port)] }, [
    port,
  ])
  const peer = flags.hops === '2' ? shadowTwoHops : shadow
  const wanted = { ...certificateIn(folder), within: folder, backend: `127.0.0.1:${port}`, hostnames: ['soak.example'] }
  await using proxy = await start(peer, PROXY_CORE, wanted)
  if (proxy === undefined) throw new Error('the proxy could not be started')
  await sleep(500) // until the connections that waited for the start are gone
  const { master = '' } = (await readEndpoints(join(proxy.folder, 'data'))) ?? {}
  const besides = [Number(new URL(master).port)]
  const before = { proxy: await socketsOf(proxy.pid, besides), app: await socketsOf(app.pid) }

  const site = { port: proxy.plain, tls: proxy.tls, hostname: 'soak.example' }
  const args = [program('./load/crowd.ts'), JSON.stringify({ ...site, seconds })]
  const crowd = spawn('taskset', ['-c', String(LOAD_CORE), node, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const said = text(crowd.stdout)
  let heapBefore = 0
  const samples = new Map<string, number[][]>([
    ['resident memory', []],
    ['open sockets', []],
  ])
  for (let at = 0; at < SAMPLES; at++) {
    await sleep((seconds * 1_000) / SAMPLES)
    samples.get('resident memory')?.push([(await usageOf(proxy.pid)).rssKiB / 1_024])
    samples.get('open sockets')?.push([(await socketsOf(proxy.pid)).length])
    if (at === SAMPLES / 4) heapBefore = (await heapOf(proxy.pid, proxy.folder)).heapKiB
  }
  const { counts, faults }: { counts: Record<string, number>; faults: Record<string, number> } = JSON.parse(await said)
  const heap = (await heapOf(proxy.pid, proxy.folder)).heapKiB
  const leaked = await leftAfter(before, { proxy: proxy.pid, app: app.pid }, besides)
  const used = await inUse(proxy.folder)

  const memory = (samples.get('resident memory') ?? []).flat()
  const part = (from: number, to: number): number => quantile(memory.slice(SAMPLES * from, SAMPLES * to), 0.5)
  const sum = (of: Record<string, number>): number => Object.values(of).reduce((total, one) => total + one, 0)
  const visits: Row[] = Object.entries(counts).map(([kind, n]) => once(`visits: ${kind}`, n))
  print(
    {
      bench: 'soak',
      machine: machine(),
      rounds: 1,
      rows: [
        rowOf({ name: 'resident memory', unit: 'MB' }, samples),
        once('growth of memory in the second half', slope(memory.slice(SAMPLES / 2)) * (SAMPLES / 2), 'MB'),
        once('heap after garbage collection, at a quarter', heapBefore / 1_024, 'MB'),
        once('heap after garbage collection, at the end', heap / 1_024, 'MB'),
        rowOf({ name: 'open sockets', unit: 'count' }, samples),
        once('holds left', used.holds),
        once('requests left waiting', used.waiting),
        once('sockets left at the proxy', leaked.proxy.length),
        once('sockets left at the app', leaked.app.length),
        once('visits', sum(counts)),
        ...visits,
      ],
      aims: [
        countAim('soak/memory', 1.1, part(0.8, 1) / part(0.4, 0.6)),
        countAim('soak/heap', 1.1, heap / heapBefore),
        countAim('soak/sockets', 0, leaked.proxy.length),
        countAim('soak/holds', 0, used.holds + used.waiting),
        countAim('soak/faults', 0, sum(faults)),
      ],
      notes: [
        `${seconds} s of visitors of all kinds at once against ${peer.name}`,
        'soak/memory: the median of the last fifth by that of the middle one; soak/heap: the heap after garbage collection, at the end by that at a quarter, when all has been compiled; soak/holds: what the node tells of its instances; soak/sockets: open two minutes after the last visit, beyond those of the start, what daemons call of the master left out; an app that does not notice ends keeps its own',
        `the front listens at ${proxy.plain} and ${proxy.tls}, the app at ${port}`,
        ...leaked.proxy.map(socket => `left at the proxy: ${saidOf(socket)}`),
        ...Object.entries(faults).map(([fault, n]) => `${n} times ${fault}`),
      ],
    },
    flags.json,
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}

type Two<T> = { readonly proxy: T; readonly app: T }

/** What both have open in addition to before, once the proxy has closed everything or the time for it is over. */
async function leftAfter(
  before: Two<OpenSocket[]>,
  pids: Two<number>,
  besides: readonly number[],
): Promise<Two<OpenSocket[]>> {
  const until = performance.now() + SETTLES_WITHIN_MS
  for (;;) {
    const left = {
      proxy: beyond(before.proxy, await socketsOf(pids.proxy, besides)),
      app: beyond(before.app, await socketsOf(pids.app)),
    }
    if (left.proxy.length === 0 || performance.now() > until) return left
    await sleep(250)
  }
}

function beyond(before: OpenSocket[], after: OpenSocket[]): OpenSocket[] {
  const known = new Set(before.map(({ inode }) => inode))
  return after.filter(({ inode }) => !known.has(inode))
}

/** The slope per sample, by least squares. */
function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, one) => sum + one, 0) / values.length
  const rise = values.reduce((sum, one, at) => sum + (at - middle) * (one - mean), 0)
  return rise / values.reduce((sum, _one, at) => sum + (at - middle) ** 2, 0)
}

function once(name: string, value: number, unit = 'count'): Row {
  return rowOf({ name, unit }, new Map([[name, [[value]]]]))
}
