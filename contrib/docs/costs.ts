// node contrib/docs/costs.ts: what 1,000 apps cost on AWS, always on and with Shadow. docs/deploy/aws.md has its table; a test compares them.
import { NODE_ANNOUNCES_EVERY } from '../../src/model/intervals.ts'
import { ec2Prices } from '../../src/proxy/fleet/prices.ts'

/** US dollars in us-east-1, as AWS listed them in the middle of 2025, copied by hand; those of servers are in prices.ts. */
const USD = { gp3GiBMonth: 0.08, putOrListThousand: 0.005, getThousand: 0.0004 }
const MONTH_HOURS = 730
const MONTH_SECONDS = MONTH_HOURS * 3_600

/** All that the figures rest on. */
const ASSUMED = {
  apps: 1_000,
  memoryMiB: 256,
  volumeGiB: 1,
  /** Of 24 hours, those in which as many apps are awake as at the peak. */
  peakHours: 8,
  wakesPerAppAndDay: 10,
  rootGiB: 8,
  alwaysOn: { type: 'm7g.2xlarge', memoryGiB: 32, systemGiB: 2 },
  node: { type: 'm7g.large', memoryGiB: 8, systemGiB: 1, volumeSlots: 24 },
  /** Each runs a master and a front. */
  fronts: { type: 't4g.medium', count: 2 },
} as const

/** Requests to the bucket: costs.test.ts counts them at a real master. */
export const REQUESTS = {
  /** The last part of each is what is stored, which is counted every ten minutes. */
  perMasterAndSecond: { get: 1 + 2 / 600, put: 1 / 600, list: 0.2 + 2 / 600 },
  /** A node announces itself, and hears who was removed from the cluster. */
  perAnnouncement: { get: 1, put: 1, list: 1 },
  /** A node on which apps are awake reports each minute what they use. */
  perUsageReport: { get: 1, put: 1, list: 1 },
  /** A front asks for the list of nodes: one get for each node, and who was removed. */
  perListOfNodes: { get: 1, put: 0, list: 2, getForEachNode: 1 },
  /** A wake with a volume takes a lease, and a sleep gives it up. */
  perWake: { get: 8, put: 2, list: 0 },
}
/** Fronts list the nodes as often as nodes announce themselves. */
const EVERY_S = NODE_ANNOUNCES_EVERY / 1_000

type Awake = { readonly mean: number; readonly peak: number }
type Row = { readonly what: string; readonly servers: number; readonly disks: number; readonly bucket: number }

const monthly = (type: string, hours = MONTH_HOURS): number => {
  const price = ec2Prices().of({ type, subnet: undefined, isSpot: false }, false)
  if (price === undefined) throw new Error(`prices.ts has none for ${type}`)
  return price.usdPerHour * hours
}
const gib = (amount: number): number => amount * USD.gp3GiBMonth

/** Every app runs all the time; a server is full when its memory is. */
function alwaysOn({ apps, memoryMiB, volumeGiB, rootGiB, alwaysOn: server } = ASSUMED): Row {
  const each = Math.floor(((server.memoryGiB - server.systemGiB) * 1_024) / memoryMiB)
  const count = Math.ceil(apps / each)
  return {
    what: `always on: ${count} × ${server.type}, ${each} apps each`,
    servers: count * monthly(server.type),
    disks: gib(apps * volumeGiB + count * rootGiB),
    bucket: 0,
  }
}

/** As many nodes as the awake apps need, by memory and by volume slots; the rest of them only at the peak. */
function withShadow({ mean, peak }: Awake, assumed = ASSUMED): Row {
  const { apps, memoryMiB, volumeGiB, rootGiB, node, fronts, peakHours, wakesPerAppAndDay } = assumed
  const each = Math.min(Math.floor(((node.memoryGiB - node.systemGiB) * 1_024) / memoryMiB), node.volumeSlots)
  const always = Math.max(1, Math.ceil((apps * mean) / each))
  const more = Math.max(0, Math.ceil((apps * peak) / each) - always)
  const moreHours = (MONTH_HOURS * peakHours) / 24
  const nodes = always + (more * peakHours) / 24
  return {
    what: `Shadow, ${percent(mean)} awake on average and ${percent(peak)} at the peak: ${fronts.count} × ${fronts.type}, ${always} × ${node.type}, ${more} more for ${peakHours} h a day`,
    servers: fronts.count * monthly(fronts.type) + always * monthly(node.type) + more * monthly(node.type, moreHours),
    disks: gib(apps * volumeGiB + (fronts.count + nodes) * rootGiB),
    bucket: bucketCost({ masters: fronts.count, nodes, wakes: (apps * wakesPerAppAndDay * MONTH_HOURS) / 24 }),
  }
}

function bucketCost({ masters, nodes, wakes }: { masters: number; nodes: number; wakes: number }): number {
  const { perMasterAndSecond, perAnnouncement, perListOfNodes, perUsageReport, perWake } = REQUESTS
  const beats = MONTH_SECONDS / EVERY_S
  const sum = (kind: 'get' | 'put' | 'list'): number =>
    perMasterAndSecond[kind] * masters * MONTH_SECONDS +
    perAnnouncement[kind] * nodes * beats +
    (perUsageReport[kind] * nodes * MONTH_SECONDS) / 60 +
    perListOfNodes[kind] * masters * beats +
    perWake[kind] * wakes
  const gets = sum('get') + perListOfNodes.getForEachNode * nodes * masters * beats
  return ((sum('put') + sum('list')) * USD.putOrListThousand + gets * USD.getThousand) / 1_000
}

const percent = (share: number): string => `${share * 100} %`

/** The table of docs/deploy/aws.md. */
export function costTable(): string {
  const rows = [
    alwaysOn(),
    withShadow({ mean: 0.02, peak: 0.05 }),
    withShadow({ mean: 0.1, peak: 0.2 }),
    withShadow({ mean: 0.4, peak: 0.6 }),
  ]
  const [first] = rows
  const sumOf = ({ servers, disks, bucket }: Row): number => servers + disks + bucket
  const lines = rows.map(row => {
    const share = first === undefined ? 1 : sumOf(row) / sumOf(first)
    return `| ${row.what} | ${[row.servers, row.disks, row.bucket, sumOf(row)].map(usd => usd.toFixed(0)).join(' | ')} | ${share.toFixed(2)} |`
  })
  return [
    '| US dollars a month | servers | disks | requests to S3 | together | ratio |',
    '| --- | --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n')
}

if (import.meta.main) console.log(costTable())
