import { Agent, createServer, request } from 'node:http'
import { listen } from '../../src/lib/http/api/request-handler.ts'
import { mapAtMost } from '../../src/lib/parallel.ts'
import { interleave, type Row, rowOf, rowOfOne } from '../lib/bench.ts'
import { counted } from '../lib/counted.ts'
import { startDaemon } from '../lib/daemon.ts'
import { cost, residentMiB } from '../lib/process.ts'
import { AT_ONCE } from './lookups.ts'
import { hostOf, type Served } from './served.ts'

const ANNOUNCE_EVERY_MS = 2_000
const REQUESTS = 1_000

type Given = { readonly shadow: string; readonly folder: string; readonly rounds: number }

/** A front over the apps of this master: its requests to the master, its memory, and its start when it knows all apps. */
export async function front(master: Served, { shadow, folder, rounds }: Given): Promise<Row[]> {
  await using _node = await answeringNode(master)
  const proxy = await counted(master.url)
  await using _proxy = proxy
  const { token } = await master.client.call('createToken', { body: { name: 'bench', role: 'proxy' } })
  const env = {
    SHADOW_MASTER: proxy.url,
    SHADOW_TOKEN: token,
    SHADOW_LOG_LEVEL: 'error',
    SHADOW_LOOK_UPS: '1000000', // the default for strangers is far below the rates measured here
  }
  const start = () => startDaemon(shadow, ['proxy', '--json', '--data', folder, '--listen', '127.0.0.1:0'], { env })
  const asked = (): number => proxy.requests.filter(line => line.startsWith('GET /v1/hosts/')).length

  const rows: Row[] = []
  const one = (name: string, unit: string, figure: number): void => {
    rows.push(rowOfOne(`${name}, ${master.size} apps`, unit, figure))
  }
  {
    await using running = await start()
    const visit = visitor(running.ready['address'] ?? '')
    const all = Array.from({ length: master.size }, (_, number) => hostOf(number))
    const first = await cost(running.pid, all.length, () => mapAtMost(AT_ONCE, all, visit))
    one('front, first request to an app: CPU', 'µs CPU', first.cpuUs)
    one('front, first request to an app: look-ups asked of the master', 'each', asked() / all.length)
    // The apps that were visited last: a route older than 15 s would be fetched again in the background.
    const known = Array.from({ length: REQUESTS }, (_, at) => all.at(-1 - (at % 100)) ?? all.at(0) ?? '')
    proxy.requests.length = 0
    const next = await cost(running.pid, known.length, () => mapAtMost(AT_ONCE, known, visit))
    one('front, known app: CPU', 'µs CPU', next.cpuUs)
    one(`front, known app: look-ups asked of the master in ${REQUESTS} requests`, 'in all', asked())
    proxy.away = true
    await mapAtMost(AT_ONCE, known, visit)
    one('front, known app, master away: requests answered', 'in all', known.length)
    proxy.away = false
    one('memory of the front', 'MiB', await residentMiB(running.pid))
  }
  const starts = {
    name: `start of the front that knows them, ${master.size} apps`,
    unit: 'ms',
    async measure() {
      await using again = await start()
      return again.startMs
    },
  }
  return [...rows, rowOf(starts, await interleave([starts], { rounds }))]
}

/** A node that has every app awake, and answers every request. */
export async function answeringNode(master: Pick<Served, 'client'>): Promise<AsyncDisposable> {
  const well = {
    overall: false,
    overloaded: false,
    container_backend: false,
    cpu_utilization: 0,
    memory_utilization: 0,
  }
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(well))
  })
  const listening = await listen(server, { host: '127.0.0.1', port: 0 })
  const load = { cpus: 2, memoryBytes: 2 ** 32, cpuUtilization: 0, memoryUtilization: 0, awake: 0 }
  const body = {
    address: listening.address,
    key: 'key-of-the-answering-node',
    controlKey: 'control-of-the-answering-node',
    ...load,
  }
  const announce = () => master.client.call('announceNode', { params: { node: 'answering' }, body })
  await announce()
  const timer = setInterval(() => void announce().catch(() => undefined), ANNOUNCE_EVERY_MS) // the next announcement may succeed
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await listening[Symbol.asyncDispose]()
    },
  }
}

/** Requests a hostname through the front; fails unless the app answers. */
export function visitor(address: string): (host: string, path?: string) => Promise<void> {
  const [hostname, port] = address.split(':')
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  return (host, path = '/') =>
    new Promise((resolve, reject) => {
      const asked = request({ hostname, port, path, agent, headers: { host } })
      asked
        .on('response', answer => {
          if (answer.statusCode !== 200) reject(new Error(`${host}: the front answered ${answer.statusCode}`))
          answer.resume().on('end', resolve).on('error', reject)
        })
        .on('error', reject)
        .end()
    })
}
