import type { App, Node } from '../model/app.ts'
import type { HoldKind, InstanceView } from '../model/instance.ts'
import type { AppName } from '../model/names.ts'

/** What a request asks of a node before it is forwarded. */
export type Ask = {
  readonly kind: HoldKind
  /** For `shadow why`: `GET / from 203.0.113.7`. */
  readonly what: string
  /** What waiting costs in memory: its head, and what is buffered of its body. */
  readonly bytes: number
  /** false: fails with `app-asleep` rather than wake. */
  readonly mayWake: boolean
  /** Set for a browser that can be shown the waiting page: fails with `app-waking` when the app is not ready by then. */
  readonly patienceMs?: number | undefined
}

/** A way to the app, kept open until disposed of. */
export type Held = Disposable & {
  /** `ip:port` to forward to. */
  readonly address: string
  /** Put on the forwarded request, for the next hop. */
  readonly headers: Readonly<Record<string, string>>
  /** Stages in milliseconds if the request waited for a wake here. */
  readonly waited?: Readonly<Record<string, number>> | undefined
}

/** How the front reaches an app on a node: over HTTP, or (`shadow up`) in the same process, one hop less. */
export interface Reach {
  /** Fails as the node does: `app-asleep`, `app-waking`, `app-crashed`, `app-not-ready`, `queue-full`, `volume-elsewhere`, … */
  hold(app: App, node: Node, ask: Ask, signal: AbortSignal): Promise<Held>
  /** The instance now and at each change of its phase, until the signal aborts. */
  follow(app: AppName, node: Node, signal: AbortSignal): AsyncIterable<InstanceView>
  /** Whether the node answers and can take apps. */
  check(node: Node, signal: AbortSignal): Promise<NodeHealth>
}

export type NodeHealth = { readonly overall: boolean; readonly overloaded: boolean }
