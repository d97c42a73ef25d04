import type { Price } from '../../model/fleet.ts'
import type { NodeName } from '../../model/names.ts'

/** A machine of the fleet, as the driver sees it. `ended`: nothing runs on it any more, ever. */
export type Server = {
  /** By the driver's own name, such as `i-0123456789abcdef0`. */
  readonly id: string
  readonly number: number
  readonly node: NodeName
  readonly state: 'pending' | 'running' | 'stopping' | 'stopped' | 'ending' | 'ended'
  readonly offer: string
  readonly zone?: string | undefined
  /** Whether it can be started again after a stop, with its disk. */
  readonly canStop: boolean
  /** Whether it can be ended for good. */
  readonly canEnd: boolean
  /** Whether the fleet can start it. */
  readonly canStart: boolean
}

/** A kind of server that can be bought. */
export type Offer = { readonly key: string; readonly zone?: string | undefined }

/** An order for a server. Its `node` is unique: no other order ever has it. */
export type Order = {
  readonly number: number
  readonly node: NodeName
  readonly offer: string
  /** What the new machine needs to join the cluster as this node. */
  joinToken(): Promise<string>
}

/** Why a driver has not done what it was asked for. `ended`: the machine of the order has ended already. */
export type FleetFailure = 'full' | 'refused' | 'unsure' | 'ended'

export class FleetError extends Error {
  override name = 'FleetError'
  readonly failure: FleetFailure

  constructor(failure: FleetFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.failure = failure
  }
}

/**
 * Machines that become nodes. Every call may be repeated, and fails with a FleetError only: "already so" is success, and a call that was cut short is made good when it is made
 * again. A driver sees and touches only machines of its own fleet, which it finds again after a restart.
 */
export interface Fleet {
  /** What may be bought, the preferred one first; empty where nothing can. */
  offers(): Promise<readonly Offer[]>
  /** The machines of the fleet, those that have ended lately too. It may lack what was ordered a moment ago. */
  list(): Promise<readonly Server[]>
  /**
   * Starts the machine of the order: one that is stopped, else a new one. However often and by whomever an order is given, there is at most
   * one machine for it. Resolves once the order has been taken. Fails with `full` where there is no capacity for it, and with `refused` for
   * another reason: then this order has made no machine. Fails with `unsure` where it may have, now or soon.
   */
  start(order: Order): Promise<void>
  /** Stops a machine, in order. Its disk stays. */
  stop(server: Server): Promise<void>
  /** Ends a machine for good, and its disk with it. */
  terminate(server: Server): Promise<void>
  /** What a machine of this offer costs while it runs or, if `isStopped`, while its disk is kept; undefined if that is not known. */
  price(offer: string, isStopped: boolean): Price | undefined
}
