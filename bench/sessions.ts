import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { busyboxImage } from '../test/tools/images.ts'
import { type Also, benchFlags, type Case, interleave, machine, print, ratioAim, rowOf } from './lib/bench.ts'
import { bareDocker } from './lib/docker.ts'
import { startUp } from './lib/up.ts'
import { firstByte } from './lib/visit.ts'
import { asleep } from './sessions/asleep.ts'

const { json, rounds } = benchFlags({ rounds: 7 })
const TIMES = 3
const BURST = Number(process.env['BENCH_BURST'] ?? 200)
const ASLEEP = Number(process.env['BENCH_ASLEEP'] ?? 10_000)
/** The floor of the burst is measured by so many boots. */
const FLOOR_BOOTS = Math.min(BURST, 50)
/** The pool is full before each measure. */
const WARM = 2
const PATH = 'passwd'

await using held = new AsyncDisposableStack()
const name = `bench-${randomBytes(3).toString('hex')}`
const docker = held.use(await bareDocker(`floor-${name}`))
const { front, api } = held.use(await startUp(name))
const image = await busyboxImage()
const command = ['httpd', '-f', '-p', '8000', '-h', '/etc']
const template = 'bench'
const warmTemplate = 'bench-warm'
const small = { limits: { memory: '16MiB' as const }, sleep: { idleAfter: 'never', grace: '1s' } as const }
await api.call('registerApp', { body: { name: template, image, command, ...small, template: {} } })
await api.call('registerApp', { body: { name: warmTemplate, image, command, ...small, template: { warm: WARM } } })

const cold: Case = {
  name: 'cold: connect to first byte',
  unit: 'ms',
  async measure() {
    const { ms, end } = await visitNew()
    await end()
    return ms
  },
}
const warm: Case = {
  name: 'warm: connect to first byte, from a pool',
  unit: 'ms',
  async measure() {
    await untilFull()
    const { ms, end } = await visitNew(warmTemplate)
    await end()
    return ms
  },
}
const floor: Case = {
  name: 'floor: docker create+start',
  unit: 'ms',
  async measure() {
    const { ms, remove } = await docker.start(image, command)
    await remove()
    return ms
  },
}
const live = await connect('live')
const reconnect: Case = {
  name: 'reconnect: connect with the key of a session that lives, to first byte',
  unit: 'ms',
  async measure() {
    const from = performance.now()
    await visit(await connect('live'))
    return performance.now() - from
  },
}
const awake: Case = { name: 'an awake request', unit: 'ms', measure: () => visit(live) }
const cases = [cold, warm, floor, reconnect, awake]
const samples = await interleave(cases, { rounds, times: TIMES })

await api.call('setTemplate', { params: { app: warmTemplate }, body: {} }) // its pool ends

const burst: Case = {
  name: `burst of ${BURST} keys: to the last first byte`,
  unit: 'ms',
  async measure(also) {
    const from = performance.now()
    const all = await Promise.all(Array.from({ length: BURST }, () => timed(also)))
    const ms = performance.now() - from
    for (const { end } of all) await end() // one after the other: see the notes of bench:wake
    return ms
  },
}
const burstFloor: Case = {
  name: `floor: ${BURST} × docker create+start, over the cores`,
  unit: 'ms',
  async measure() {
    let sum = 0
    for (let count = 0; count < FLOOR_BOOTS; count++) sum += await floor.measure(() => undefined)
    return (sum * BURST) / FLOOR_BOOTS / availableParallelism()
  },
}
const inBursts = await interleave([burst, burstFloor], { rounds: 1 })
await api.call('endSession', { params: { session: live.session }, query: { kind: 'hard' } })
const memory = await asleep(ASLEEP)

print(
  {
    bench: 'sessions',
    machine: machine(),
    rounds,
    rows: [
      ...cases.map(one => rowOf(one, samples)),
      ...[burst, burstFloor].map(one => rowOf(one, inBursts)),
      ...memory,
    ],
    aims: [
      ratioAim('cold/docker', 1, samples, cold.name, floor.name),
      ratioAim('warm/docker', 0.15, samples, warm.name, floor.name),
      ratioAim('burst/sum of boots per core', 1.1, inBursts, burst.name, burstFloor.name),
    ],
    notes: [
      'a session of busybox httpd without a volume, shadow up being a process of its own; from the call to connect to the first byte of the answer by the path with the token',
      'floor: the same image by bare calls to Docker’s API (create, start, inspect) on a bridge network of its own, until a connect succeeds (a try each ms)',
      `burst: ${BURST} keys at once; BENCH_BURST sets how many; the floor by ${FLOOR_BOOTS} boots, one after the other`,
      `warm: a pool of ${WARM}, full before each measure; the next one is started behind it`,
      `asleep: documents written into a directory, a master and a front of their own, a node that answers each request; the growth of the resident memory over ${ASLEEP} (BENCH_ASLEEP sets how many)`,
    ],
  },
  json,
)

type Got = { readonly session: string; readonly url: string; readonly fromPool?: boolean }

function connect(key?: string, of = template): Promise<Got> {
  return api.call('connectSession', { body: { template: of, ...(key !== undefined && { key: { name: key } }) } })
}

async function visit({ url }: Got): Promise<number> {
  const { hostname, pathname } = new URL(url)
  return (await firstByte(front, hostname, `${pathname}${PATH}`)).ms
}

async function visitNew(of = template): Promise<{ ms: number; end: () => Promise<unknown> }> {
  const from = performance.now()
  const got = await connect(undefined, of)
  if (of === warmTemplate && got.fromPool !== true) throw new Error('the pool was empty')
  await visit(got)
  const ms = performance.now() - from
  const params = { session: got.session }
  return { ms, end: () => api.call('endSession', { params, query: { kind: 'hard' } }) }
}

/** Resolves when all sessions of the pool may be handed out. */
async function untilFull(): Promise<void> {
  for (;;) {
    const { items } = await api.call('listSessions', { query: { template: warmTemplate } })
    const apps = await Promise.all(
      items.map(({ session }) => api.call('getApp', { params: { app: session } }).catch(() => undefined)),
    )
    if (apps.filter(app => app?.session?.warm?.ready).length === WARM) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

async function timed(also: Also): Promise<{ end: () => Promise<unknown> }> {
  const { ms, end } = await visitNew()
  also('burst: each', ms)
  return { end }
}
