// Many apps on one machine: how many suspended, frozen and parked Node apps it takes beside thousands of registered ones, what each costs, how long the
// first byte takes from each tier as their count grows, and how long a node that was killed takes to find them all again.
import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { readMemory } from '../src/lib/memory.ts'
import { nodeImage } from '../test/tools/images.ts'
import { zramSwap } from '../test/tools/zram.ts'
import { benchFlags, machine, print, quantile, rowOfOne } from './lib/bench.ts'
import { memoryOf, usedBytes } from './lib/machine-memory.ts'
import { cpuMs, residentMiB } from './lib/process.ts'
import { startUp } from './lib/up.ts'
import { firstByte } from './lib/visit.ts'

// `--apps`: at most so many are woken. `--seconds`: for so long. Whichever of the two, or the memory of the machine, ends first is told.
const flags = benchFlags({ rounds: 1 }, { apps: 1_000, registered: 10_000, seconds: 100 })
const { json, seconds } = flags
/** The first visit of each of so many apps is timed in each tier, at each count. */
const VISITS = 12
/** So many are parked in the end, for the memory of one: each takes a stop and a start. */
const PARKED = 100
/** What the node and Docker do after a step, and what they free, is not counted for the apps. */
const SETTLED_MS = 5_000
/** A node looks at all its containers once in this time. */
const AT_REST_MS = 30_000
/** The first count at which it is; then at each doubling. */
const FIRST_COUNT = 25
/** So much memory stays free. */
const FLOOR_BYTES = 2 * 2 ** 30
/** More than they can fill: what is in it is compressed in memory. */
const SWAP_MB = 32_768
const REGISTERED_AT_ONCE = 16
/** What is not registered by then is left out, so that a run ends within 8 minutes. */
const REGISTERED_WITHIN_MS = 170_000

await using held = new AsyncDisposableStack()
const swap = await zramSwap(SWAP_MB)
if (swap !== undefined) held.use(swap)
const up = held.use(await startUp(`bench-${randomBytes(3).toString('hex')}`))
const { front, api } = up
const image = await nodeImage()
const apps: string[] = []
const rows: ReturnType<typeof rowOfOne>[] = []
const tell = (name: string, unit: string, figure: number): void => void rows.push(rowOfOne(name, unit, figure))
const tiers = swap === undefined ? (['frozen'] as const) : (['frozen', 'suspended'] as const)
/** What the apps that are not visited are meanwhile: frozen, and suspended once the memory is full of frozen ones. */
let others: (typeof tiers)[number] = 'frozen'

const before = await residentMiB(up.daemon.pid)
const begun = performance.now()
await Promise.all(Array.from({ length: REGISTERED_AT_ONCE }, registerSome))
const registered = apps.length
const took = performance.now() - begun
tell(`registering ${registered} apps, ${REGISTERED_AT_ONCE} at a time: each`, 'ms', took / registered)
tell(
  'memory of shadow up for each registered app',
  'KB',
  (((await residentMiB(up.daemon.pid)) - before) * 1_024) / registered,
)

const docker = { ...(await dockerMemory()), used: await usedBytes() }
const awake: string[] = []
const wakes: number[] = []
const until = performance.now() + seconds * 1_000
let ended = `--apps ${flags.apps}`
for (const app of apps.slice(0, flags.apps)) {
  if (isFull() && others !== tiers.at(-1)) await suspendAll()
  if (isFull() || performance.now() > until) {
    ended = isFull() ? 'memory' : `--seconds ${seconds}`
    break
  }
  wakes.push(await visit(app))
  await step(app, others)
  awake.push(app)
  if (awake.length >= FIRST_COUNT && Number.isInteger(Math.log2(awake.length / FIRST_COUNT))) await latencies()
}
const count = awake.length
if (!Number.isInteger(Math.log2(count / FIRST_COUNT))) await latencies()
if (others !== tiers.at(-1)) await suspendAll()
else await tellMemory()
await wait(SETTLED_MS)
const cpuBefore = await cpuMs(up.daemon.pid)
await wait(AT_REST_MS)
const cpuAtRest = (await cpuMs(up.daemon.pid)) - cpuBefore
tell(
  `at rest with ${count} that are ${others}: CPU of shadow up in a second`,
  'ms CPU',
  (cpuAtRest / AT_REST_MS) * 1_000,
)

const now = await dockerMemory()
tell(
  'of that: Docker’s shim',
  'MB',
  (now.shims.bytes - docker.shims.bytes) / (now.shims.count - docker.shims.count) / 1e6,
)
tell('of that: dockerd has grown by', 'MB', (now.dockerd.bytes - docker.dockerd.bytes) / count / 1e6)
tell('of that: containerd has grown by', 'MB', (now.containerd.bytes - docker.containerd.bytes) / count / 1e6)
tell(
  'network holders, each with a shim of its own, for each app',
  'of all',
  (now.shims.count - docker.shims.count) / count - 1,
)

const ready = await up.restart()
tell(`restart of a killed node with ${count} apps that were ${tiers.at(-1)}: until it serves`, 'ms', ready)
tell('the first byte of one of them after that', 'ms', await visit(awake[0] ?? ''))
const some = awake.slice(0, PARKED)
for (const app of some) await step(app, 'asleep')
const asleep = await settledBytes()
for (const app of some) await step(app, 'parked')
tell('memory of one that is parked, all in all', 'MB', ((await settledBytes()) - asleep) / some.length / 1e6)
for (const app of awake) await step(app, 'asleep')

print(
  {
    bench: 'density',
    machine: machine(),
    rounds: 1,
    rows,
    aims: [],
    notes: [
      `${registered} apps registered, of which ${count} have a container, frozen or suspended (ended by ${ended}); each is an HTTP server on Node without a volume; all on one node`,
      'memory: what the machine has less of MemAvailable than before the first of them was woken, by their number; suspended: with zram, whose compressed bytes count',
      `first bytes: p50 of ${VISITS} apps, one after the other, while all others are frozen, or suspended once the memory was full of frozen ones`,
    ],
  },
  json,
)

function isFull(): boolean {
  return readMemory().availableBytes < FLOOR_BYTES
}

/** Tells what frozen ones cost, and suspends them all. */
async function suspendAll(): Promise<void> {
  await tellMemory()
  others = 'suspended'
  for (const app of awake) await step(app, others)
  await tellMemory()
}

async function tellMemory(): Promise<void> {
  const each = ((await usedBytes()) - docker.used) / awake.length / 1e6
  tell(`memory of one that is ${others}, all in all, of ${awake.length}`, 'MB', each)
}

async function settledBytes(): Promise<number> {
  await wait(SETTLED_MS)
  return usedBytes()
}

async function registerSome(): Promise<void> {
  while (apps.length < flags.registered && performance.now() - begun < REGISTERED_WITHIN_MS)
    await register(apps[apps.push(`dense-${apps.length}`) - 1] ?? '')
}

async function register(app: string): Promise<void> {
  await api.call('registerApp', {
    body: {
      name: app,
      image,
      limits: { memory: '128MiB', reserve: '8MiB' },
      sleep: { idleAfter: 'never', grace: '1s' },
    },
  })
}

/** The first byte from each tier at the count of now. */
async function latencies(): Promise<void> {
  const at = `of ${awake.length}`
  const some = awake.slice(0, VISITS)
  tell(`first byte, asleep, ${at}: p50`, 'ms', quantile(wakes.slice(-VISITS), 0.5))
  for (const tier of [...tiers, 'parked'] as const) {
    const took: number[] = []
    for (const app of some) {
      await step(app, tier)
      took.push(await visit(app))
      await step(app, others)
    }
    tell(`first byte, ${tier}, ${at}: p50`, 'ms', quantile(took, 0.5))
    tell(`first byte, ${tier}, ${at}: p95`, 'ms', quantile(took, 0.95))
  }
}

async function dockerMemory() {
  return {
    shims: await memoryOf('containerd-shim'),
    dockerd: await memoryOf('dockerd'),
    containerd: await memoryOf('containerd'),
  }
}

async function step(app: string, to: 'asleep' | 'frozen' | 'suspended' | 'parked'): Promise<void> {
  await api.call('sleepApp', { params: { app }, query: { to } })
}

async function visit(app: string): Promise<number> {
  return (await firstByte(front, `${app}.localhost`, '/')).ms
}
