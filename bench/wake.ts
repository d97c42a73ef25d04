import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { busyboxImage, nodeImage } from '../test/tools/images.ts'
import { zramSwap } from '../test/tools/zram.ts'
import {
  type Also,
  benchFlags,
  type Case,
  countAim,
  interleave,
  machine,
  print,
  quantile,
  ratioAim,
  rowOf,
  rowOfOne,
} from './lib/bench.ts'
import { bootOf } from './lib/boot.ts'
import { bareDocker } from './lib/docker.ts'
import { childrenCpuMs, cpuMs } from './lib/process.ts'
import { startUp } from './lib/up.ts'
import { firstByte, type Visit } from './lib/visit.ts'

const { json, rounds } = benchFlags({ rounds: 9 })
const TIMES = 3
const BURST = 8
const PARKED = 20
const SETTLE_MS = 50
const IDLE_MS = 2_000
// What follows a wake is done by then.
const SETTLED_MS = 3_000
// Networks are prepared again half a second after one was used, by new containers, which takes a processor for a good part of a second.
const PARKED_MS = 2_000
const NODE_APP = new URL('../test/tools/apps/app.mjs', import.meta.url).pathname

type Sample = { readonly app: string; readonly image: string; readonly command?: string[]; readonly path: string }

await using held = new AsyncDisposableStack()
const name = `bench-${randomBytes(3).toString('hex')}`
const docker = held.use(await bareDocker(`floor-${name}`))
const { daemon: up, front, api } = held.use(await startUp(name))

const httpd = { image: await busyboxImage(), command: ['httpd', '-f', '-p', '8000', '-h', '/etc'], path: '/passwd' }
const busybox: Sample = { ...httpd, app: 'busybox' }
const node: Sample = { app: 'node', image: await nodeImage(), path: '/' }
// Awake all the time but for the moments in which they are frozen.
const thawed: Sample = { ...busybox, app: 'thawed' }
const thawedNode: Sample = { ...node, app: 'thawed-node' }
const burst = Array.from({ length: BURST }, (_, number): Sample => ({ ...httpd, app: `burst-${number}` }))
const parkedAtOnce = Array.from({ length: PARKED }, (_, number): Sample => ({ ...httpd, app: `parked-${number}` }))
for (const sample of [busybox, node, thawed, thawedNode, ...burst, ...parkedAtOnce]) await register(sample)
for (const sample of [thawed, thawedNode]) await visit(sample)

const asleep = wakeCase('asleep', busybox)
const asleepNode = wakeCase('asleep-node', node)
const floor = floorCase('floor: docker create+start', busybox)
const floorNode = floorCase('floor: docker create+start, node', node)
const parked = parkedCase('parked', busybox)
const parkedNode = parkedCase('parked-node', node)
const ownBoot = bootCase('floor: own boot of the Node server')
const awake = awakeCase('awake request', thawed)
const frozen = frozenCase('frozen', thawed)
const frozenNode = frozenCase('frozen-node', thawedNode)
const swap = await zramSwap()
if (swap !== undefined) held.use(swap)
const suspended = suspendedCase('suspended: Node, in zram', thawedNode)
const unpaused = unpauseCase('floor: docker unpause and a request to the app', busybox)
const cases = [
  asleep,
  floor,
  asleepNode,
  floorNode,
  parked,
  parkedNode,
  ownBoot,
  awake,
  frozen,
  frozenNode,
  unpaused,
  ...(swap ? [suspended] : []),
]
const idleCpu = await idleCpuMs()
const childrenBefore = await childrenCpuMs(up.pid)
const samples = await interleave(cases, { rounds, times: TIMES })
const wakes = 4 * TIMES * (rounds + 1)
const childrenCpu = ((await childrenCpuMs(up.pid)) - childrenBefore) / wakes

const parkedBurst = parkedBurstCase(`${PARKED} parked at once`)
const parkedFloor = burstFloor(`floor: ${PARKED} × docker create+start at once`, parkedAtOnce)
const bursts = [
  burstCase(`burst of ${BURST}`),
  burstFloor(`floor: ${BURST} × docker create+start at once`, burst),
  parkedBurst,
  parkedFloor,
]
const inBursts = await interleave(bursts, { rounds: Math.ceil(rounds / 2) })

const ours = [...samples.keys()].filter(key => !cases.some(({ name }) => name === key)).sort()
const eachOfBurst = [...inBursts.keys()].filter(key => !bursts.some(({ name }) => name === key)).sort()
const ownCpu = quantile((samples.get(of('asleep', 'own CPU')) ?? []).flat(), 0.5)
print(
  {
    bench: 'wake',
    machine: machine(),
    rounds,
    rows: [
      ...cases.map(one => rowOf(one, samples)),
      ...ours.map(key => rowOf({ name: key, unit: key.includes('CPU') ? 'ms CPU' : 'ms' }, samples)),
      rowOfOne(
        'programs it starts (shells, losetup, mount, umount): CPU of a wake and its sleep, mean',
        'ms CPU',
        childrenCpu,
      ),
      rowOfOne('at rest: own CPU in a second', 'ms CPU', idleCpu),
      ...bursts.map(one => rowOf(one, inBursts)),
      ...eachOfBurst.map(key => rowOf({ name: key, unit: 'ms' }, inBursts)),
    ],
    aims: [
      ratioAim('asleep/docker', 0.5, samples, asleep.name, floor.name),
      ratioAim('asleep-node/docker', 0.7, samples, asleepNode.name, floorNode.name),
      ratioAim('frozen/awake request', 2.5, samples, frozen.name, awake.name),
      ...(swap ? [ratioAim('suspended/awake request', 25, samples, suspended.name, awake.name)] : []),
      ratioAim('parked/docker', 0.15, samples, parked.name, floor.name),
      ratioAim('parked/own boot', 1.4, samples, parkedNode.name, ownBoot.name),
      ratioAim('20 parked at once/docker', 0.05, inBursts, parkedBurst.name, parkedFloor.name),
      countAim('own CPU ms/wake', 10, ownCpu),
    ],
    notes: [
      'asleep: busybox httpd with a volume, asleep-node: an HTTP server on Node with a volume; from the connect to the front to the first byte of the app’s answer, shadow up being a process of its own',
      'floor: the same image by bare calls to Docker’s API (create, start, inspect) on a bridge network of its own, without a volume, until a connect succeeds (a try each ms)',
      `stages are those of Server-Timing; own CPU is that of shadow up (master, node and front), from before the request to ${SETTLE_MS} ms after the answer; the sleep that follows has a row of its own, and so have the programs that it starts`,
      'frozen, frozen-node: the same apps, frozen for a moment, to the first byte through the front; awake request: the same request while the app is awake, on a new connection as well; suspended: the server on Node, whose memory is in zram, if this machine can have that; floor: docker unpause by Docker’s API, then a request to the container without a proxy',
      'parked, parked-node: the same apps as asleep, for which a container waits; own boot: the same server on Node as a process of this machine, from its start until a connect succeeds (a try each ms)',
      `${PARKED} parked at once: parked apps with a volume, from the first request to the last answer`,
      `burst of ${BURST}: from the first request to the last answer; each: of each of them. Their containers end by turns: Docker before 23 may lock up for ever when the last ones of a network end at once (moby/libnetwork#2679)`,
    ],
  },
  json,
)

function of(name: string, what: string): string {
  return `${name}: ${what}`
}

function register({ app, image, command }: Sample): Promise<unknown> {
  return api.call('registerApp', {
    body: { name: app, image, command, volume: { size: '64MiB' }, sleep: { idleAfter: 'never', grace: '2s' } },
  })
}

function visit({ app, path }: Sample): Promise<Visit> {
  return firstByte(front, `${app}.localhost`, path)
}

function sleep({ app }: Sample): Promise<unknown> {
  return api.call('sleepApp', { params: { app } })
}

function wakeCase(name: string, sample: Sample): Case {
  return {
    name,
    unit: 'ms',
    async measure(also) {
      const before = await cpuMs(up.pid)
      const { ms, stages } = await visit(sample)
      await wait(SETTLE_MS)
      const awake = await cpuMs(up.pid)
      also(of(name, 'own CPU'), awake - before)
      for (const [stage, took] of stages) also(of(name, stage), took)
      const from = performance.now()
      await sleep(sample)
      also(of(name, 'sleep'), performance.now() - from)
      await wait(SETTLE_MS)
      also(of(name, 'sleep, own CPU'), (await cpuMs(up.pid)) - awake)
      return ms
    },
  }
}

function park({ app }: Sample): Promise<unknown> {
  return api.call('sleepApp', { params: { app }, query: { to: 'parked' } })
}

function parkedCase(name: string, sample: Sample): Case {
  return {
    name,
    unit: 'ms',
    async measure(also) {
      await park(sample)
      await wait(PARKED_MS)
      const before = await cpuMs(up.pid)
      const { ms, stages } = await visit(sample)
      await wait(SETTLE_MS)
      also(of(name, 'own CPU'), (await cpuMs(up.pid)) - before)
      for (const [stage, took] of stages) also(of(name, stage), took)
      await sleep(sample)
      await wait(SETTLE_MS)
      return ms
    },
  }
}

function parkedBurstCase(name: string): Case {
  return {
    name,
    unit: 'ms',
    async measure(also) {
      for (const sample of parkedAtOnce) await park(sample)
      await wait(PARKED_MS)
      const ms = await lastOf(parkedAtOnce, async sample => (await visit(sample)).ms, of(name, 'each'), also)
      for (const sample of parkedAtOnce) await sleep(sample)
      return ms
    },
  }
}

/** The server on Node, without a container. */
function bootCase(name: string): Case {
  return { name, unit: 'ms', measure: () => bootOf(NODE_APP) }
}

function awakeCase(name: string, sample: Sample): Case {
  return { name, unit: 'ms', measure: async () => (await visit(sample)).ms }
}

function frozenCase(name: string, sample: Sample): Case {
  return {
    name,
    unit: 'ms',
    async measure(also) {
      await api.call('sleepApp', { params: { app: sample.app }, query: { to: 'frozen' } })
      await wait(SETTLE_MS)
      const before = await cpuMs(up.pid)
      const { ms } = await visit(sample)
      await wait(SETTLE_MS)
      also(of(name, 'own CPU'), (await cpuMs(up.pid)) - before)
      return ms
    },
  }
}

function suspendedCase(name: string, sample: Sample): Case {
  return {
    name,
    unit: 'ms',
    async measure() {
      await api.call('sleepApp', { params: { app: sample.app }, query: { to: 'suspended' } })
      await wait(SETTLE_MS)
      return (await visit(sample)).ms
    },
  }
}

function unpauseCase(name: string, { image, command, path }: Sample): Case {
  return {
    name,
    unit: 'ms',
    async measure() {
      const { address, pause, unpause, remove } = await docker.start(image, command)
      await pause()
      await wait(SETTLE_MS)
      const from = performance.now()
      await unpause()
      await firstByte(`http://${address}`, 'app', path)
      const ms = performance.now() - from
      await remove()
      return ms
    },
  }
}

function floorCase(name: string, { image, command }: Sample): Case {
  return {
    name,
    unit: 'ms',
    async measure() {
      const { ms, remove } = await docker.start(image, command)
      await remove()
      return ms
    },
  }
}

function burstCase(name: string): Case {
  return {
    name,
    unit: 'ms',
    async measure(also) {
      const ms = await lastOf(burst, async sample => (await visit(sample)).ms, of(name, 'each'), also)
      for (const sample of burst) await sleep(sample) // one after the other: see the notes
      return ms
    },
  }
}

function burstFloor(name: string, burst: readonly Sample[]): Case {
  return {
    name,
    unit: 'ms',
    async measure(also) {
      const removes: (() => Promise<void>)[] = []
      const start = async ({ image, command }: Sample): Promise<number> => {
        const { ms, remove } = await docker.start(image, command)
        removes.push(remove)
        return ms
      }
      const ms = await lastOf(burst, start, of(name, 'each'), also)
      for (const remove of removes) await remove()
      return ms
    },
  }
}

/** Runs all at the same time; returns the ms until the last was done. */
async function lastOf(all: readonly Sample[], measure: (one: Sample) => Promise<number>, each: string, also: Also) {
  const from = performance.now()
  for (const ms of await Promise.all(all.map(measure))) also(each, ms)
  return performance.now() - from
}

async function idleCpuMs(): Promise<number> {
  await wait(SETTLED_MS)
  const before = await cpuMs(up.pid)
  await wait(IDLE_MS)
  return (((await cpuMs(up.pid)) - before) * 1_000) / IDLE_MS
}
