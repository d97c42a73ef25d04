import { ShadowError } from '../lib/errors.ts'
import { faultOfLabel, type NodeName, nodeName } from './names.ts'

/** The name of a fleet. It begins the names of its servers, and is the value of their tag `shadow:cluster`. */
export type FleetName = string & { readonly brand: 'FleetName' }

/** So that the name of a server, which has a number and six characters more, is a DNS label too. */
const LONGEST_NAME = 48

/** Parses the name of a fleet; fails with `bad-input`. */
export function fleetName(text: string): FleetName {
  const fault = faultOfFleetName(text)
  if (fault !== undefined) throw new ShadowError('bad-input', `fleet name "${text.slice(0, 100)}": ${fault}`)
  return text as FleetName
}

export const faultOfFleetName = (text: string): string | undefined => faultOfLabel(text, LONGEST_NAME)

/** The most servers that a fleet may have. */
export const MOST_SERVERS = 1_000

/** The name of a new server, and of the node on it. No name is used twice: volumes are leased to names. */
export const serverName = (fleet: FleetName, number: number, unique: string): NodeName =>
  nodeName(`${fleet}-${number}-${unique}`)

/** The number in the name of a server that this fleet made; undefined for any other name. */
export function numberOf(fleet: string, node: string): number | undefined {
  const [, number] =
    (node.startsWith(`${fleet}-`) && /^([1-9]\d{0,3})-[a-z0-9]{6}$/.exec(node.slice(fleet.length + 1))) || []
  return number === undefined ? undefined : Number(number)
}

export const SERVER_PHASES = ['ordered', 'starting', 'serving', 'draining', 'stopping', 'standby', 'ending'] as const
/**
 * What a fleet means to do with a server. `ordered`: the order to make it may not have been carried out. `starting`: it is no healthy node
 * yet. `draining`: its apps leave it. `standby`: it is stopped, and is started before a new one is made. `ending`: it is no node any more.
 */
export type ServerPhase = (typeof SERVER_PHASES)[number]

/** A server as the store keeps it. A record is there before the order is given, and until the machine has ended. */
export type ServerRecord = {
  /** 1 and up, at most the ceiling of the fleet. At most one machine has it at a time. */
  readonly number: number
  readonly node: NodeName
  /** What was ordered, as the driver names it; '' for a machine that was there before. */
  readonly offer: string
  readonly phase: ServerPhase
  /** When the phase began, ISO 8601. */
  readonly since: string
  /** Of the lease under which it was ordered. */
  readonly epoch: number
  /** Why the order was refused. The record stays where the front of an earlier lease may have given the same order. */
  readonly refused?: string | undefined
}

/** An app that no node had room for. */
export type Wanted = {
  readonly app: string
  readonly bytes: number
  /** The zone of its volume, and the driver that its node must have. */
  readonly zone?: string | undefined
  readonly driver?: string | undefined
  /** How long ago its wake was refused first and last, in milliseconds. */
  readonly firstMs: number
  readonly lastMs: number
}

/** What a server of the fleet offers to apps, as the last one that joined has announced it. */
export type ServerShape = {
  readonly bytes: number
  readonly volumeSlots?: number | undefined
  readonly drivers?: readonly string[] | undefined
}

/** What a server costs in US dollars an hour; `source` says where that is from. */
export type Price = { readonly usdPerHour: number; readonly source: string }

export const STEPS = ['undrain', 'start', 'buy', 'drain', 'stop', 'end', 'forget'] as const
/** What a fleet does next with a server, and why. `usdPerHour`: how much more or less the fleet costs then, where that is known. */
export type PlannedStep = {
  readonly do: (typeof STEPS)[number]
  readonly node: string
  readonly offer?: string | undefined
  readonly why: string
  readonly usdPerHour?: number | undefined
}

/** A server as the front that leads the fleet has seen it. */
export type SeenServer = {
  readonly number: number
  readonly node: NodeName
  readonly phase: ServerPhase
  readonly since: string
  /** The machine by the driver's own name, its state, and what was ordered. */
  readonly machine?: string | undefined
  readonly state?: string | undefined
  readonly offer: string
  readonly zone?: string | undefined
  readonly awake?: number | undefined
  readonly freeBytes?: number | undefined
  readonly usdPerHour?: number | undefined
  /** Why it is not given up, or not used. */
  readonly note?: string | undefined
}

/** What the front that leads a fleet has seen, and what it does next. */
export type FleetReport = {
  readonly at: string
  readonly driver: string
  /** true: nothing of the plan is done. */
  readonly isDryRun: boolean
  readonly max: number
  readonly servers: readonly SeenServer[]
  readonly plan: readonly PlannedStep[]
  /** What keeps the fleet from growing, and the like. */
  readonly notes: readonly string[]
  /** What its servers cost now; left out where a price is not known. */
  readonly usdPerHour?: number | undefined
  readonly prices: string
}
