import type { Duplex } from 'node:stream'
import type { Cancellation } from '../lib/cancellation.ts'
import type { Channel } from '../lib/threads/channel.ts'
import type { Node } from '../model/app.ts'
import type { EndedRun, Held, HoldRequest, InstanceLoad } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { Route } from '../model/route.ts'
import type { WakeProgress } from '../model/wake-progress.ts'

/** An instance of an app, and the node that has it or shall have it. */
export type InstanceOnNode = { readonly instance: InstanceId; readonly node: Node }

/** For how long an instance is kept awake, and why: `shadow why` shows it. */
export type Keeping = { readonly forMs: number; readonly why: string }

/** A connection to a TCP port of an app: `by` is the client, for `shadow why`; `wake`: whether an app that sleeps is woken. */
export type ConnectionAsked = { readonly port: number; readonly by: string; readonly wake: boolean }

/** Connects the front to apps on nodes: over HTTP, or without a hop where the node runs in the same process (`shadow up`). */
export interface NodeConnector {
  /**
   * Holds the app awake; at once if there is nothing to wait for. Fails as the node does: `app-asleep`, `app-waking`, `app-crashed`, `app-not-ready`,
   * `queue-full`, `volume-elsewhere`, …
   */
  hold(route: Route, on: InstanceOnNode, request: HoldRequest, cancellation: Cancellation): Held | Promise<Held>
  /** The phase of the app, and how far its wake is, now and at each change, until the signal aborts. */
  follow(route: Route, node: Node, signal: AbortSignal): AsyncIterable<WakeProgress>
  /** Where the requests for all apps of the node are sent. Only for a connector that has a hop to the node. */
  hopTo?(node: Node): Pick<Held, 'address' | 'tls'>
  /** Wakes the instance, and keeps it awake for so long from then on; resolves when it is ready. Fails as `hold` does. */
  keep(route: Route, on: InstanceOnNode, keeping: Keeping, signal: AbortSignal): Promise<void>
  /** Connects to a TCP port of the instance, and holds it awake until the stream is closed. Fails as `hold` does, and with `app-unreachable`. */
  connect(route: Route, on: InstanceOnNode, asked: ConnectionAsked, signal: AbortSignal): Promise<Duplex>
  /** The load of the node's awake instances of apps that may have several. */
  loads(node: Node, signal: AbortSignal): Promise<readonly InstanceLoad[]>
  /** Whether the node answers and can take apps. */
  check(node: Node, signal: AbortSignal): Promise<NodeHealth>
  /** Calls back with each run of an app that takes no more requests. Only for a connector whose addresses are those of apps. */
  onRunEnded?(listener: (ended: EndedRun) => void): void
  /** Lets a worker of this front hold apps over the channel, by `Holding`. Without this method, workers reach apps over HTTP. */
  share?(channel: Channel): Disposable
}

export type NodeHealth = {
  readonly overall: boolean
  readonly overloaded: boolean
  /** The networks of the apps of the node. */
  readonly app_networks?: readonly string[] | undefined
}
