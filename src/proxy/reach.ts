import type { Cancellation } from '../lib/cancellation.ts'
import type { Channel } from '../lib/threads/channel.ts'
import type { Node } from '../model/app.ts'
import type { EndedRun, Held, HoldRequest, InstanceView } from '../model/instance.ts'
import type { Route } from '../model/route.ts'

/** How the front reaches an app on a node: over HTTP, or (`shadow up`) in the same process, one hop less. */
export interface Reach {
  /**
   * At once where nothing is to be waited for. Fails as the node does: `app-asleep`, `app-waking`, `app-crashed`, `app-not-ready`,
   * `queue-full`, `volume-elsewhere`, …
   */
  hold(route: Route, node: Node, request: HoldRequest, cancellation: Cancellation): Held | Promise<Held>
  /** The phase of the app now and at each change of it, until the signal aborts. */
  follow(route: Route, node: Node, signal: AbortSignal): AsyncIterable<Pick<InstanceView, 'phase'>>
  /** Whether the node answers and can take apps. */
  check(node: Node, signal: AbortSignal): Promise<NodeHealth>
  /** Calls back with each run of an app that takes no more requests; only where addresses are those of apps. */
  onLeft?(listener: (ended: EndedRun) => void): void
  /** Lets a worker of this front reach apps over the channel itself, by `Holding`; without it, it reaches them over HTTP. */
  share?(channel: Channel): Disposable
}

export type NodeHealth = {
  readonly overall: boolean
  readonly overloaded: boolean
  /** The networks of the apps of the node. */
  readonly app_networks?: readonly string[] | undefined
}
