import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { busyboxImage } from '../test/tools/images.ts'
import { type Also, benchFlags, type Case, interleave, machine, print, ratioAim, rowOf } from './lib/bench.ts'
import { bareDocker } from './lib/docker.ts'
import { startUp } from './lib/up.ts'
import { firstByte } from './lib/visit.ts'

const { json, rounds } = benchFlags({ rounds: 7 })
const TIMES = 3
const BURST = Number(process.env['BENCH_BURST'] ?? 50)
const PATH = 'passwd'

await using held = new AsyncDisposableStack()
const name = `bench-${randomBytes(3).toString('hex')}`
const docker = held.use(await bareDocker(`floor-${name}`))
const { front, api } = held.use(await startUp(name))
const image = await busyboxImage()
const command = ['httpd', '-f', '-p', '8000', '-h', '/etc']
const template = 'bench'
await api.call('registerApp', {
  body: { name: template, image, command, sleep: { idleAfter: 'never', grace: '1s' }, template: {} },
})

const cold: Case = {
  name: 'cold: connect to first byte',
  unit: 'ms',
  async measure() {
    const { ms, end } = await visitNew()
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
const cases = [cold, floor, reconnect, awake]
const samples = await interleave(cases, { rounds, times: TIMES })

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
  name: `floor: the sum of ${BURST} × docker create+start, one after the other, over the cores`,
  unit: 'ms',
  async measure() {
    let sum = 0
    for (let count = 0; count < BURST; count++) sum += await floor.measure(() => undefined)
    return sum / availableParallelism()
  },
}
const inBursts = await interleave([burst, burstFloor], { rounds: 1 })
await api.call('endSession', { params: { session: live.session }, query: { kind: 'hard' } })

print(
  {
    bench: 'sessions',
    machine: machine(),
    rounds,
    rows: [...cases.map(one => rowOf(one, samples)), ...[burst, burstFloor].map(one => rowOf(one, inBursts))],
    aims: [
      ratioAim('cold/docker', 1, samples, cold.name, floor.name),
      ratioAim('burst/sum of boots per core', 1.1, inBursts, burst.name, burstFloor.name),
    ],
    notes: [
      'a session of busybox httpd without a volume, shadow up being a process of its own; from the call to connect to the first byte of the answer by the path with the token',
      'floor: the same image by bare calls to Docker’s API (create, start, inspect) on a bridge network of its own, until a connect succeeds (a try each ms)',
      `burst: ${BURST} keys at once; BENCH_BURST sets how many`,
      'there is no pool of warm sessions, so warm/docker is not measured',
    ],
  },
  json,
)

type Got = { readonly session: string; readonly url: string }

function connect(key?: string): Promise<Got> {
  return api.call('connectSession', { body: { template, ...(key !== undefined && { key: { name: key } }) } })
}

async function visit({ url }: Got): Promise<number> {
  const { hostname, pathname } = new URL(url)
  return (await firstByte(front, hostname, `${pathname}${PATH}`)).ms
}

async function visitNew(): Promise<{ ms: number; end: () => Promise<unknown> }> {
  const from = performance.now()
  const got = await connect()
  await visit(got)
  const ms = performance.now() - from
  const params = { session: got.session }
  return { ms, end: () => api.call('endSession', { params, query: { kind: 'hard' } }) }
}

async function timed(also: Also): Promise<{ end: () => Promise<unknown> }> {
  const { ms, end } = await visitNew()
  also('burst: each', ms)
  return { end }
}
