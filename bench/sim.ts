/**
 * A cluster of a million apps in one process.
 *
 * Real, that is the code of the product: the route cache and the pins of a front with their SQLite file (proxy/routes, pins, local-store,
 * lookup-limit), its list of nodes (proxy/nodes), the choice of a node (proxy/node-choice and model/placement), the room of each node
 * (nodeproxy/room: admission, and who sleeps to make room), the idle clock of each awake app (nodeproxy/idle), and what a master keeps for
 * an app (master/change-watcher, master/lookup).
 *
 * Simulated: time (a virtual clock), the network (calls return at once, but routes are serialized and parsed), the bucket, Docker and the
 * volumes (a wake and a sleep take no time), the machines (4 GiB, 28 volume slots each), their death, and the visitors. Nodes announce
 * themselves once a minute instead of every 5 s, and a front learns that a node died from the request that fails, not from its health checks.
 *
 * The loop of one request (another attempt after a dead or full node, when the pin is set) is this bench's own, after proxy/app-request and
 * proxy/failover. Requests in flight are a number instead of holds.
 *
 * Left out: the scaling of stateless apps and of the fleet. So no node is ever switched off here: the server hours
 * count the nodes that have an awake app, and one more that is kept warm.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { getHeapStatistics } from 'node:v8'
import type { Node } from '../src/model/app.ts'
import { nodeName } from '../src/model/names.ts'
import { countAim, interleave, machine, pairedAim, print, rowOf, rowOfOne } from './lib/bench.ts'
import { randomOf } from './lib/random.ts'
import { EventQueue } from './sim/event-queue.ts'
import { type Front, fill, openFront } from './sim/front.ts'
import { loadOf } from './sim/load.ts'
import { masterBytes } from './sim/master.ts'
import { usedBytes } from './sim/memory.ts'
import { SimulatedNode } from './sim/node.ts'
import { run } from './sim/run.ts'

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    apps: { type: 'string', default: '1000000' },
    nodes: { type: 'string', default: '2000' },
    hours: { type: 'string', default: '4' },
    'visits-a-day': { type: 'string', default: '1' },
    rounds: { type: 'string', default: '7' },
    seed: { type: 'string', default: '1' },
  },
})
const [apps, size, hours, visitsADay, rounds, seed] = [
  flags.apps,
  flags.nodes,
  flags.hours,
  flags['visits-a-day'],
  flags.rounds,
  flags.seed,
].map(Number) as [number, number, number, number, number, number]

const FEW = Math.min(10_000, Math.ceil(apps / 10))
const DECISIONS = 50
const PINNED_DECISIONS = 20_000
const HEARTBEAT_MS = 1_000
const ANNOUNCED_MS = 60_000
const APPS_A_SERVER = 10
const HOUR_MS = 3_600_000

const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(1)

const random = randomOf(seed)
const clock = new EventQueue()
const names = Array.from({ length: size }, (_, at) => nodeName(`node-${at}`))
const nodes = new Map(names.map(name => [name, new SimulatedNode(name, clock)]))
let listed: readonly Node[] = []
const announce = async (): Promise<void> => {
  listed = await Promise.all([...nodes.values()].filter(({ isDead }) => !isDead).map(node => node.announcement()))
}
await announce()

const folder = await mkdtemp(join(tmpdir(), 'shadow-bench-'))
try {
  const open = (name: string): Promise<Front> => openFront({ folder: join(folder, name), clock, nodes: () => listed })
  using few = await open('few')
  await fill(few, 0, FEW, random)
  using many = await open('many')
  const emptyBytes = usedBytes()
  await fill(many, 0, apps, random)
  const perApp = (usedBytes() - emptyBytes) / apps

  // Decisions for apps that the front has never seen, and for those that have a pin.
  let unseen = apps
  const cpuUs = async (times: number, decide: () => Promise<void>): Promise<number> => {
    const from = process.cpuUsage()
    for (let time = 0; time < times; time++) await decide()
    const { user, system } = process.cpuUsage(from)
    return (user + system) / times
  }
  const placed = (front: Front) => async (): Promise<number> => {
    const routes = await Promise.all(Array.from({ length: DECISIONS }, () => front.route(unseen++)))
    return cpuUs(DECISIONS, async () => {
      const route = routes.pop()
      if (route !== undefined) front.pin(route, await front.choose(route))
    })
  }
  const pinned = (front: Front, known: number) => async (): Promise<number> => {
    const routes = await Promise.all(
      Array.from({ length: PINNED_DECISIONS }, () => front.route(Math.floor(random() * known))),
    )
    return cpuUs(PINNED_DECISIONS, async () => {
      const route = routes.pop()
      if (route !== undefined) front.pin(route, await front.choose(route))
    })
  }
  const [placedFew, placedMany] = [`placement and pin, ${FEW} apps`, `placement and pin, ${apps} apps`] as const
  const [pinnedFew, pinnedMany] = [`decision by pin, ${FEW} apps`, `decision by pin, ${apps} apps`] as const
  const cases = [
    { name: placedFew, unit: 'µs of CPU', measure: placed(few) },
    { name: placedMany, unit: 'µs of CPU', measure: placed(many) },
    { name: pinnedFew, unit: 'µs of CPU', measure: pinned(few, FEW) },
    { name: pinnedMany, unit: 'µs of CPU', measure: pinned(many, apps) },
  ]
  const samples = await interleave(cases, { rounds })

  clock.every(HEARTBEAT_MS, () => many.routes.freshness.proven())
  clock.every(ANNOUNCED_MS, async () => {
    await announce()
    await many.nodes.refresh()
  })
  many.routes.freshness.proven()
  const next = loadOf({ apps, perSecond: (apps * visitsADay) / 86_400, random })
  const cpuBefore = process.cpuUsage()
  const outcome = await run({ clock, front: many, nodes, next, forMs: hours * HOUR_MS, random })
  const runCpu = process.cpuUsage(cpuBefore)
  const wakes = [...nodes.values()].reduce((sum, node) => sum + node.wakes, 0)
  const serverHours = [...nodes.values()].reduce((sum, { usedMs }) => sum + usedMs, 0) / HOUR_MS + hours
  const alwaysOn = (apps / APPS_A_SERVER) * hours
  const ofMaster = (await masterBytes(apps, new EventQueue())) / apps

  print(
    {
      bench: 'sim',
      machine: machine(),
      rounds,
      rows: [
        rowOfOne('memory of the front, a sleeping app', 'bytes', perApp),
        rowOfOne('memory of the master, a sleeping app', 'bytes', ofMaster),
        ...cases.map(each => rowOf(each, samples)),
        rowOfOne('visits', '1/s', outcome.visits / hours / 3_600),
        rowOfOne('wakes', '1/s', wakes / hours / 3_600),
        rowOfOne('placements', '1/s', outcome.placed / hours / 3_600),
        rowOfOne('visits that no node took', 'visits', outcome.refused),
        rowOfOne('most apps awake at a time', 'apps', outcome.mostAwake),
        rowOfOne('servers in use, on average', 'servers', serverHours / hours),
        rowOfOne('server hours', 'h', serverHours),
        rowOfOne('server hours, one always-on server per ten apps', 'h', alwaysOn),
        rowOfOne('CPU of the simulation, a visit', 'µs', (runCpu.user + runCpu.system) / outcome.visits),
      ],
      aims: [
        countAim('bytes per sleeping app in the front', 300, perApp),
        pairedAim('decision CPU 1M/10k apps', 1.5, samples, placedMany, placedFew),
        countAim('server hours/one always-on server per ten apps', 0.1, serverHours / alwaysOn),
      ],
      notes: [
        `${apps} apps, ${size} nodes of 4 GiB and 28 volume slots, ${hours} virtual hours, ${visitsADay} visits an app and day by Zipf's law, seed ${seed}; all apps have a volume that every node can attach, reserve 128 MiB and sleep after 5 minutes`,
        'real: routes, pins, node list and choice of a front, placement, the room and the idle clocks of nodes, what a master keeps; simulated: time, network, bucket, Docker, volumes, machines (one dies every ten minutes) and visitors',
        'memory: JavaScript heap and buffers after a collection, the front having seen each app once, against no app; the front keeps 100,000 routes in memory and the others in its file, and all pins; what SQLite itself takes is not in it',
        'a placement looks at all nodes, whatever the number of apps; a decision by pin looks at one',
        'server hours count nodes with an awake app, and one kept warm; the scaling of stateless apps and of the fleet is left out',
        `at 10 million apps by these figures: the pins and routes of a front take about ${gib(perApp * 1e7)} GiB and what a master keeps about ${gib(ofMaster * 1e7)} GiB, beside the heap of ${gib(getHeapStatistics().heap_size_limit)} GiB that Node gave this process; see docs/several-machines.md for what breaks first`,
      ],
    },
    flags.json,
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}
