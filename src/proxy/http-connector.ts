import { type NodeClient, nodeClient } from '../api/client.ts'
import { ClientSession, SESSION_HEADERS } from '../api/exec-client.ts'
import { sessionStream } from '../api/exec-stream.ts'
import { PhaseSchema } from '../api/instance-schemas.ts'
import { endpointOf, nodeTls } from '../api/node-endpoint.ts'
import {
  HOP_ANSWER_WITHIN,
  HOP_IGNORED,
  HOP_INSTANCE,
  HOP_KEY,
  HOP_MOST,
  HOP_PATIENCE,
  HOP_PORT,
  HOP_RELEASE,
  HOP_TRACE,
  PERMIT_HEADER,
  WAKE_HEADER,
} from '../api/paths.ts'
import { sayWanted } from '../api/release-cookie.ts'
import { systemClock } from '../lib/clock.ts'
import { readEvents } from '../lib/http/api/events.ts'
import type { ClientTls, Credentials } from '../lib/tls/credentials.ts'
import type { Node } from '../model/app.ts'
import { type InstanceId, instanceId } from '../model/instance-id.ts'
import { MASTER_CALL_WITHIN } from '../model/intervals.ts'
import type { NodeName } from '../model/names.ts'
import { toMs } from '../model/quantities.ts'
import type { Route } from '../model/route.ts'
import { concurrencyOf, spreadOf } from '../model/scale.ts'
import type { NodeConnector } from './node-connector.ts'

type Headers = Readonly<Record<string, string>>

/**
 * Reaches apps through the listener of their node. The node holds the app, so nothing is waited for here. `credentials`: what this front
 * shows to nodes of its cluster; without one, nodes are reached in clear.
 */
export function httpConnector(credentials?: Credentials): NodeConnector {
  const clients = new Map<NodeName, { client: NodeClient; at: string }>()
  const clientOf = (node: Node): NodeClient => {
    const { name, address, key, member = '' } = node
    const at = `${address} ${key} ${member}`
    const known = clients.get(name)
    if (known?.at === at) return known.client
    const client = nodeClient({ ...endpointOf(node, credentials), token: key, withinMs: MASTER_CALL_WITHIN })
    clients.set(name, { client, at })
    return client
  }
  const secured = new WeakMap<Node, ClientTls | undefined>()
  const tlsOf = (node: Node): ClientTls | undefined => {
    if (!secured.has(node)) secured.set(node, nodeTls(node, credentials))
    return secured.get(node)
  }
  // The same object for the same route, instance and key: a forwarder remembers what it makes of it.
  const known = new WeakMap<Route, Map<InstanceId, Headers>>()
  const headersOf = (route: Route, instance: InstanceId, key: string): Headers => {
    const ofRoute = known.get(route) ?? new Map<InstanceId, Headers>()
    const last = ofRoute.get(instance)
    if (last?.[HOP_KEY] === key) return last
    const within = route.access?.answerWithin
    const scale = spreadOf(route)
    const headers = {
      [HOP_INSTANCE]: instance,
      [HOP_KEY]: key,
      ...(scale !== undefined && { [HOP_MOST]: String(Math.min(concurrencyOf(scale).hard, MOST_AT_A_TIME)) }),
      [PERMIT_HEADER]: route.permit,
      ...(within !== undefined && { [HOP_ANSWER_WITHIN]: within === 'never' ? within : String(toMs(within)) }),
    }
    known.set(route, ofRoute.set(instance, headers))
    return headers
  }
  return {
    hold(route, { instance, node }, { mayWake, ignoredBy, patienceMs, release, trace, port }) {
      const { address, key } = node
      const always = headersOf(route, instance, key)
      const headers =
        patienceMs === undefined &&
        mayWake &&
        release === undefined &&
        route.sessions === undefined &&
        trace === undefined &&
        port === undefined
          ? always
          : {
              ...always,
              ...(patienceMs !== undefined && { [HOP_PATIENCE]: String(patienceMs) }),
              ...(!mayWake && { [WAKE_HEADER]: 'never' }),
              // A rule may have characters that a header may not have.
              ...(ignoredBy !== undefined && { [HOP_IGNORED]: encodeURIComponent(ignoredBy) }),
              ...(trace !== undefined && { [HOP_TRACE]: trace }),
              ...(port !== undefined && { [HOP_PORT]: String(port) }),
              ...((release ?? route.sessions) !== undefined && { [HOP_RELEASE]: sayWanted(release ?? 'new') }),
            }
      return { address, headers, tls: tlsOf(node), isHop: true, [Symbol.dispose]: nothing }
    },
    hopTo: node => ({ address: node.address, tls: tlsOf(node) }),
    async *follow({ name: app, permit }, node, signal) {
      const headers = { [PERMIT_HEADER]: permit }
      const { body } = await clientOf(node).raw('followInstance', {
        params: { instance: instanceId(app) },
        headers,
        signal,
      })
      for await (const event of readEvents(body)) yield PhaseSchema.parse(event)
    },
    async keep({ permit }, { instance, node }, body, signal) {
      const headers = { [PERMIT_HEADER]: permit }
      await clientOf(node).call('keepInstance', { params: { instance }, body, headers, signal })
    },
    async connect({ permit }, { instance, node }, { port, by, wake }, signal) {
      const query = { by, wake: wake ? ('true' as const) : ('false' as const) }
      const headers = { ...SESSION_HEADERS, [PERMIT_HEADER]: permit }
      const open = (content: AsyncIterable<Uint8Array>, until: AbortSignal) =>
        clientOf(node).raw('openConnection', { params: { instance }, query, headers, content, signal: until })
      const start = { kind: 'connection', port } as const
      return sessionStream(await ClientSession.open({ start, open, clock: systemClock, signal }))
    },
    loads: async (node, signal) => (await clientOf(node).call('listLoads', { signal })).items,
    // async: a node that is not in the cluster is one that answers no check, not an error of whoever checks all nodes.
    check: async (node, signal) => clientOf(node).call('health', { signal }),
  }
}

// Without a limit the node counts all the same: fronts learn from it what the others send.
const MOST_AT_A_TIME = 1_000_000

const nothing = (): void => undefined
