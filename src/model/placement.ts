import type { InstanceId } from './instance-id.ts'
import { type Labels, ZONE } from './labels.ts'
import type { AppName, NodeName } from './names.ts'
import type { Cordon } from './node-state.ts'
import { toBytes } from './quantities.ts'
import { bestTwo, rendezvous } from './rendezvous.ts'
import type { TaskDefinition, VolumeDriver } from './task.ts'

/** What a node tells of itself that placement goes by. Older nodes leave fields out: then that rule does not apply to them. */
export type PlacedOn = {
  readonly name: NodeName
  readonly labels?: Labels | undefined
  readonly cordon?: Cordon | undefined
  readonly room?: MemoryFacts | undefined
  readonly volumeSlots?: VolumeSlots | undefined
  /** The drivers whose volumes it can attach; left out: loop alone. */
  readonly volumeDrivers?: readonly VolumeDriver[] | undefined
  /** `imageKey` of images that the node has. */
  readonly images?: readonly string[] | undefined
}

/** In bytes: what awake apps may reserve together, what is free of that, and what the idle ones among them would give back. */
export type MemoryFacts = {
  readonly reservableBytes: number
  readonly freeBytes: number
  readonly idleBytes: number
}

/** How many volumes may be attached to a node at a time, how many more could be now, and how many attached ones belong to idle apps. */
export type VolumeSlots = { readonly total: number; readonly free: number; readonly idle: number }

/** A node as whoever places an app sees it. */
export type Candidate<N extends PlacedOn> = {
  readonly node: N
  readonly healthy: boolean
  readonly overloaded: boolean
}

/** What an app needs of a node. */
export type Needs = {
  /** Memory that must be free for a wake; left out by masters of earlier versions. */
  readonly reserveBytes?: number | undefined
  /** `imageKey` of the image that its revision is pinned to. */
  readonly image?: string | undefined
  readonly volume?: VolumeNeeds | undefined
  /** It runs on this node, and on no other. */
  readonly home?: NodeName | undefined
  /** It runs only on nodes that have all of these. */
  readonly labels?: Labels | undefined
}

type VolumeNeeds = {
  /** The node that has it now; null where no node has. */
  readonly node: NodeName | null
  /** true: its bytes are on the disk of that node, so no other node can serve the app. */
  readonly isLocal: boolean
  /** Only a node that has this driver can serve the app; left out: loop. */
  readonly driver?: VolumeDriver | undefined
  /** true: that node was removed as lost. */
  readonly isLost?: boolean | undefined
  /** The zone that its storage is in, as in the label `zone` of nodes; left out: storage that all nodes reach, or a volume that is not made yet. */
  readonly zone?: string | undefined
}

type Options = {
  /** Nodes that have refused the app just now. */
  readonly without?: Pick<ReadonlySet<NodeName>, 'has'>
  /** How many other instances of the app each node has. */
  readonly replicas?: ReadonlyMap<NodeName, number>
  /** The weight of each pair in rendezvous hashing. @internal */
  readonly weigh?: (app: Placed, node: NodeName) => number
}

/** What is placed: an app, or one of its several instances. */
type Placed = AppName | InstanceId

export const PLACEMENT_REASONS = [
  'has-volume',
  'only-node',
  'not-overloaded',
  'memory',
  'volume-slots',
  'spread',
  'image',
  'room',
  'hash',
] as const
/** Why a node was chosen: the last rule that took other nodes out. `hash`: no rule did. */
type PlacementReason = (typeof PLACEMENT_REASONS)[number]
export const REJECTION_REASONS = [
  'unhealthy',
  'cordoned',
  'draining',
  'refused',
  'other-zone',
  'not-its-node',
  'other-pool',
  'volume-elsewhere',
  'too-small',
  'no-volumes',
  'no-driver',
] as const
/** Why a node cannot take an app. */
type RejectionReason = (typeof REJECTION_REASONS)[number]
type Rejection = { readonly node: NodeName; readonly reason: RejectionReason }

/** The node for an app and why, or that there is none; with all nodes that cannot take it. */
export type Placement<N> = {
  readonly node?: N | undefined
  readonly reason?: PlacementReason | undefined
  readonly rejected: readonly Rejection[]
}

/** Codes by which a node refuses to wake an app that another node may be able to wake. */
export const REFUSES_WAKE = [
  'no-memory',
  'no-volume-slot',
  'addresses-full',
  'node-cordoned',
  'runtime-unreachable',
  'app-stuck',
  // The masters know the node no more, so it can read nothing of the app.
  'unauthorised',
] as const

const MOST_CPU = 1
const MOST_MEMORY = 0.8
/** The second candidate is preferred if it has more than so many times the room of the first. */
const MUCH_MORE = 2

/** Whether the node can attach volumes of this zone; undefined: of storage that is in no zone. */
export const isInZone = ({ labels }: Pick<PlacedOn, 'labels'>, zone: string | undefined): boolean =>
  zone === undefined || zone === labels?.[ZONE]

/** Whether other nodes should be preferred to this one. The utilizations are shares of all cores and of the memory. */
export const isOverloaded = (node: { readonly cpuUtilization: number; readonly memoryUtilization: number }): boolean =>
  node.cpuUtilization > MOST_CPU || node.memoryUtilization > MOST_MEMORY

/** A short name for an image by its id (`sha256:…`): enough to find the image among those that a node has. */
export const imageKey = (id: string): string => id.slice(id.indexOf(':') + 1).slice(0, IMAGE_KEY_LENGTH)
export const IMAGE_KEY_LENGTH = 12
/** A node announces at most so many images. */
export const MOST_IMAGES = 128

/** The memory that is kept for an app: what its definition reserves, else its limit. */
export const reservedBy = ({ limits }: Pick<TaskDefinition, 'limits'>): number =>
  toBytes(limits.reserve ?? limits.memory)

/**
 * The node for an app that has no pin. Rules that no node may break take nodes out first. Then each preference takes nodes out, in this
 * order, unless it would take them all. Of the two best by rendezvous hashing (Thaler and Ravishankar 1998) the first one is chosen, or the
 * second one if that has much more room. All fronts and masters choose the same node from the same list, and a node that comes or goes moves
 * only its own apps: decision 033.
 */
export function place<N extends PlacedOn>(
  app: Placed,
  needs: Needs,
  candidates: readonly Candidate<N>[],
  { without, replicas, weigh = rendezvous }: Options = {},
): Placement<N> {
  const fit: Candidate<N>[] = []
  const rejected: Rejection[] = []
  for (const candidate of candidates) {
    const reason = rejection(needs, candidate) ?? (without?.has(candidate.node.name) ? 'refused' : undefined)
    if (reason === undefined) fit.push(candidate)
    else rejected.push({ node: candidate.node.name, reason })
  }
  const chosen = (node: N, reason: PlacementReason): Placement<N> => ({ node, reason, rejected })

  const home = fit.find(({ node }) => node.name === needs.volume?.node)
  if (home !== undefined) return chosen(home.node, 'has-volume')
  if (fit.length === 0) return { rejected }

  let left = fit
  let reason: PlacementReason = 'only-node'
  for (const [word, isBetter] of preferences<N>(needs, replicas)) {
    const better = left.filter(isBetter(left))
    if (better.length === 0 || better.length === left.length) continue
    left = better
    reason = word
  }
  const [first, second] = bestTwo(
    left.map(({ node }) => node),
    node => weigh(app, node.name),
  )
  if (first === undefined || second === undefined) return chosen(first as N, reason)
  return freeOf(second) > MUCH_MORE * freeOf(first) ? chosen(second, 'room') : chosen(first, 'hash')
}

/** Why the node cannot take the app, whatever other nodes there are; undefined if it can. */
function rejection<N extends PlacedOn>(
  { reserveBytes = 0, volume, home, labels = {} }: Needs,
  { node, healthy }: Candidate<N>,
): RejectionReason | undefined {
  if (!healthy) return 'unhealthy'
  const { cordon } = node
  // A node that is drained keeps what runs there alone until that ends.
  if (home !== undefined) return home === node.name ? undefined : 'not-its-node'
  if (volume?.isLocal && volume.node !== null) {
    if (volume.node !== node.name) return 'volume-elsewhere'
    return cordon?.drain?.volumes === 'stop' ? 'draining' : undefined
  }
  if (cordon?.drain !== undefined) return 'draining'
  // A node that has the volume attached has the app already.
  if (cordon !== undefined && volume?.node !== node.name) return 'cordoned'
  if (!isInZone(node, volume?.zone)) return 'other-zone'
  if (Object.entries(labels).some(([name, value]) => node.labels?.[name] !== value)) return 'other-pool'
  if (volume !== undefined && node.volumeSlots?.total === 0) return 'no-volumes'
  if (!canAttach(node, volume)) return 'no-driver'
  return reserveBytes > (node.room?.reservableBytes ?? Number.POSITIVE_INFINITY) ? 'too-small' : undefined
}

/** Whether the node has the driver of the volume; without a volume any node will do. */
export const canAttach = (
  { volumeDrivers = ['loop'] }: Pick<PlacedOn, 'volumeDrivers'>,
  volume: Pick<VolumeNeeds, 'driver'> | undefined,
): boolean => volume === undefined || volumeDrivers.includes(volume.driver ?? 'loop')

/** A preference: its word, and whether it keeps a candidate of those that are left. */
type Preference<N extends PlacedOn> = readonly [
  PlacementReason,
  (left: readonly Candidate<N>[]) => (candidate: Candidate<N>) => boolean,
]

function preferences<N extends PlacedOn>(
  { reserveBytes = 0, image, volume }: Needs,
  replicas: Options['replicas'],
): readonly Preference<N>[] {
  const count = ({ node }: Candidate<N>): number => replicas?.get(node.name) ?? 0
  const each = (isBetter: (candidate: Candidate<N>) => boolean) => () => isBetter
  return [
    ['not-overloaded', each(({ overloaded }) => !overloaded)],
    // First those that need not put another app to sleep for it, then those that can.
    ['memory', each(({ node }) => freeOf(node) + (node.room?.idleBytes ?? 0) >= reserveBytes)],
    ['memory', each(({ node }) => freeOf(node) >= reserveBytes)],
    [
      'volume-slots',
      each(
        ({ node: { volumeSlots } }) =>
          volume === undefined || volumeSlots === undefined || volumeSlots.free + volumeSlots.idle > 0,
      ),
    ],
    [
      'volume-slots',
      each(({ node }) => volume === undefined || node.volumeSlots === undefined || node.volumeSlots.free > 0),
    ],
    // Before the image: otherwise all instances would be on the nodes that have it already.
    [
      'spread',
      left => {
        const fewest = left.reduce((least, candidate) => Math.min(least, count(candidate)), Number.POSITIVE_INFINITY)
        return candidate => count(candidate) === fewest
      },
    ],
    ['image', each(({ node }) => image !== undefined && node.images?.includes(image) === true)],
  ]
}

/** The memory that an app may reserve now, in bytes; unlimited where the node does not say. */
const freeOf = ({ room }: PlacedOn): number => room?.freeBytes ?? Number.POSITIVE_INFINITY

const REJECTIONS: Record<RejectionReason, string> = {
  unhealthy: 'is not healthy',
  cordoned: 'is cordoned',
  draining: 'is drained',
  refused: 'has refused it',
  'other-zone': 'is in another zone than its volume',
  'not-its-node': 'is not the node that it began on',
  'other-pool': 'does not have the labels that it asks for',
  'volume-elsewhere': 'does not have its volume',
  'too-small': 'has less memory than it reserves',
  'no-volumes': 'takes no volumes',
  'no-driver': 'does not have the driver of its volume',
}

/** Says why each node cannot take an app: "node-1 is not healthy, node-2 is in another zone than its volume". */
export const sayRejected = (rejected: readonly Rejection[]): string =>
  rejected.map(({ node, reason }) => `${node} ${REJECTIONS[reason]}`).join(', ')

/** What to do if no node can take an app; a volume in a zone wants a node there. */
export const hintOfRejected = (rejected: readonly Rejection[], zone: string | undefined): string =>
  zone !== undefined && rejected.some(({ reason }) => reason === 'other-zone')
    ? `the volume is in zone ${zone}: start a node there, with SHADOW_NODE_LABELS=zone=${zone} if it is not set by its cloud; see shadow node ls`
    : 'shadow node ls'
