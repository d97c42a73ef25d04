import type { Cancellation } from '../lib/cancellation.ts'
import type { Channel } from '../lib/threads/channel.ts'
import type { Node } from '../model/app.ts'
import type { EndedRun, Held, HoldRequest, InstanceView } from '../model/instance.ts'
import type { Route } from '../model/route.ts'

/** Connects the front to apps on nodes: over HTTP, or without a hop where the node runs in the same process (`shadow up`). */
export interface NodeConnector {
  /**
   * Holds the app awake; at once if there is nothing to wait for. Fails as the node does: `app-asleep`, `app-waking`, `app-crashed`, `app-not-ready`,
   * `queue-full`, `volume-elsewhere`, …
   */
  hold(route: Route, node: Node, request: HoldRequest, cancellation: Cancellation): Held | Promise<Held>
  /** The phase of the app now and at each change of it, until the signal aborts. */
  follow(route: Route, node: Node, signal: AbortSignal): AsyncIterable<Pick<InstanceView, 'phase'>>
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
