import type { ServerRecord, ServerShape, Wanted } from '../../model/fleet.ts'
import type { NodeName } from '../../model/names.ts'
import type { Offer, Server } from './fleet.ts'

/** What the rules know of a node. */
export type NodeView = {
  readonly name: NodeName
  /** Whether it takes apps: healthy, and neither cordoned nor draining. */
  readonly isUsable: boolean
  /** Whether it has been silent, so that its machine may have stopped. `silentMs`: for how long at most, where that is known. */
  readonly isGone: boolean
  readonly silentMs?: number | undefined
  readonly isDraining: boolean
  /** How many instances have still to leave it; undefined unless it drains, and knows of it. */
  readonly toLeave?: number | undefined
  readonly awake: number
  readonly bytes: number
  readonly freeBytes: number
  /** What idle apps would give back. */
  readonly idleBytes: number
  readonly freeSlots: number
  readonly zone?: string | undefined
  readonly drivers: readonly string[]
}

/** A server of the fleet: its record, the machine that the driver lists, and the node on it. */
export type ServerView = {
  readonly record: ServerRecord
  readonly machine: Server | undefined
  /** How long the driver has not listed a machine, in milliseconds. */
  readonly missingMs: number
  readonly node: NodeView | undefined
  /** How long the fleet could have done without it, in milliseconds. */
  readonly spareMs: number
  /** It is not given up until later: volumes are on its disk. */
  readonly isKept: boolean
}

export type Terms = {
  readonly max: number
  /** Memory that is kept free for apps that wake. */
  readonly warmBytes: number
  /** A server that could have been spared for so long is given up. */
  readonly idleMs: number
  /** A server that has not become a healthy node by then is ended. */
  readonly joinWithinMs: number
  /** So many stopped servers are kept. */
  readonly standby: number
}

/** All that the rules go by. */
export type World = {
  readonly now: number
  /** Of the lease that the front has now. */
  readonly epoch: number
  readonly terms: Terms
  readonly servers: readonly ServerView[]
  /** Machines that carry a number of the fleet, and no record has. */
  readonly strays: readonly Server[]
  /** Nodes that are not the fleet's. */
  readonly others: readonly NodeView[]
  readonly wanted: readonly Wanted[]
  /** What may be bought, the preferred one first. */
  readonly offers: readonly (Offer & { readonly isFull: boolean })[]
  /** Of the fleet's servers; undefined if none has joined yet. */
  readonly shape: ServerShape | undefined
  /** After launches that failed, nothing is bought before this time. */
  readonly buysFrom: number
}
