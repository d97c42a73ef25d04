import { type NodeClient, nodeClient } from '../api/client.ts'
import { endpointOf, nodeTls } from '../api/node-endpoint.ts'
import { HOP_ANSWER_WITHIN, HOP_INSTANCE, HOP_KEY, HOP_PATIENCE, PERMIT_HEADER, WAKE_HEADER } from '../api/paths.ts'
import { PhaseSchema } from '../api/schemas.ts'
import { readEvents } from '../lib/http/api/events.ts'
import type { ClientTls, Credentials } from '../lib/tls/credentials.ts'
import type { Node } from '../model/app.ts'
import { instanceId } from '../model/instance-id.ts'
import { MASTER_CALL_WITHIN } from '../model/intervals.ts'
import type { NodeName } from '../model/names.ts'
import { toMs } from '../model/quantities.ts'
import type { Route } from '../model/route.ts'
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
  // The same object for the same route and key: a forwarder remembers what it makes of it.
  const known = new WeakMap<Route, Headers>()
  const headersOf = (route: Route, key: string): Headers => {
    const last = known.get(route)
    if (last?.[HOP_KEY] === key) return last
    const within = route.access?.answerWithin
    const headers = {
      [HOP_INSTANCE]: instanceId(route.name),
      [HOP_KEY]: key,
      [PERMIT_HEADER]: route.permit,
      ...(within !== undefined && { [HOP_ANSWER_WITHIN]: within === 'never' ? within : String(toMs(within)) }),
    }
    known.set(route, headers)
    return headers
  }
  return {
    hold(route, node, { mayWake, patienceMs }) {
      const { address, key } = node
      const always = headersOf(route, key)
      const headers =
        patienceMs === undefined && mayWake
          ? always
          : {
              ...always,
              ...(patienceMs !== undefined && { [HOP_PATIENCE]: String(patienceMs) }),
              ...(!mayWake && { [WAKE_HEADER]: 'never' }),
            }
      return { address, headers, tls: tlsOf(node), isHop: true, [Symbol.dispose]: nothing }
    },
    async *follow({ name: app, permit }, node, signal) {
      const headers = { [PERMIT_HEADER]: permit }
      const { body } = await clientOf(node).raw('followInstance', {
        params: { instance: instanceId(app) },
        headers,
        signal,
      })
      for await (const event of readEvents(body)) yield PhaseSchema.parse(event)
    },
    check: (node, signal) => clientOf(node).call('health', { signal }),
  }
}

const nothing = (): void => undefined
