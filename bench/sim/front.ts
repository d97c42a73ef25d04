import { Readable } from 'node:stream'
import type { MasterClient } from '../../src/api/client.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { noLog } from '../../src/lib/log.ts'
import type { Node } from '../../src/model/app.ts'
import type { Hostname } from '../../src/model/hostname.ts'
import { instanceId } from '../../src/model/instance-id.ts'
import type { NodeName } from '../../src/model/names.ts'
import { place } from '../../src/model/placement.ts'
import type { Route } from '../../src/model/route.ts'
import { openLocalStore } from '../../src/proxy/local-store.ts'
import { LookupLimit } from '../../src/proxy/lookup-limit.ts'
import { nodeOf, usablePinned } from '../../src/proxy/node-choice.ts'
import type { NodeConnector } from '../../src/proxy/node-connector.ts'
import { Nodes } from '../../src/proxy/nodes.ts'
import { Pins } from '../../src/proxy/pins.ts'
import { Routes } from '../../src/proxy/routes.ts'
import { asRead, hostnameOf, routeAt } from './apps.ts'

const { signal } = new AbortController()
const NONE: ReadonlySet<NodeName> = new Set()
const MOST_LOOK_UPS = 1_000_000

type Options = {
  readonly folder: string
  readonly clock: Clock
  /** What the master would list. */
  readonly nodes: () => readonly Node[]
}

/** The parts of a front that decide, over a master that answers without a network. */
export type Front = Awaited<ReturnType<typeof openFront>>

export async function openFront({ folder, clock, nodes: listed }: Options) {
  const store = openLocalStore({ folder, log: noLog })
  const master = masterOf(listed)
  const lookups = new LookupLimit(MOST_LOOK_UPS, clock)
  const routes = new Routes({ master, store, lookups, clock, log: noLog })
  const nodes = new Nodes({ master, store, connector: {} as NodeConnector, clock, log: noLog })
  const pins = new Pins(store)
  const parts = { pins, nodes, clock }
  routes.freshness.opened()
  await nodes.refresh()
  return {
    routes,
    nodes,
    pins,
    route: (app: number): Route | Promise<Route> => routes.resolve(hostnameOf(app), { signal }),
    /** The node for a request: the pinned one, or the one that placement chooses; as a request handler of a front asks. */
    choose: (route: Route, without: ReadonlySet<NodeName> = NONE): Node | Promise<Node> => {
      const pinned = usablePinned(parts, route)
      return pinned !== undefined && !without.has(pinned.name) ? pinned : nodeOf(parts, route, signal, without)
    },
    pin: (route: Route, node: Node): void => pins.set(instanceId(route.name), node.name),
    [Symbol.dispose]: () => store[Symbol.dispose](),
  }
}

/**
 * Lets the front know the apps from `from` up to `to`, as if each had been visited once. Each is placed between two nodes taken at random,
 * since a placement looks at all nodes, and which node a pin names does not change its size.
 */
export async function fill(front: Front, from: number, to: number, random: () => number): Promise<void> {
  const all = front.nodes.all
  const any = () => all[Math.floor(random() * all.length)] ?? []
  for (let app = from; app < to; app++) {
    const route = await front.route(app)
    const { node } = place(route.name, route.needs, [any(), any()].flat())
    if (node !== undefined) front.pin(route, node)
  }
}

/** A master whose answers are made and parsed as those of a real one, but cross no network. */
const masterOf = (nodes: () => readonly Node[]): MasterClient =>
  ({
    call: async () => ({ items: nodes() }),
    raw: async (
      _: string,
      { params, headers }: { params: { hostname: Hostname }; headers: Record<string, string> },
    ) => {
      if ('if-none-match' in headers) return { status: 304, headers: {}, body: Readable.from([]) }
      return {
        status: 200,
        headers: { etag: asRead(`"${params.hostname}-1"`) },
        body: Readable.from([Buffer.from(JSON.stringify(routeAt(params.hostname)))]),
      }
    },
  }) as unknown as MasterClient
