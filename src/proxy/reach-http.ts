import { type NodeClient, nodeClient } from '../api/client.ts'
import { HOP_APP, HOP_KEY, HOP_PATIENCE, WAKE_HEADER } from '../api/paths.ts'
import { InstanceSchema } from '../api/schemas.ts'
import { readEvents } from '../lib/http/events.ts'
import type { Node } from '../model/app.ts'
import { MASTER_CALL_WITHIN } from '../model/intervals.ts'
import type { NodeName } from '../model/names.ts'
import type { Reach } from './reach.ts'

/** Reaches apps through their node's door: the node holds the app, so here nothing is waited for. */
export function reachOverHttp(): Reach {
  const clients = new Map<NodeName, { client: NodeClient; address: string; key: string }>()
  const clientOf = ({ name, address, key }: Node): NodeClient => {
    const known = clients.get(name)
    if (known?.address === address && known.key === key) return known.client
    const client = nodeClient({ url: `http://${address}`, token: key, withinMs: MASTER_CALL_WITHIN })
    clients.set(name, { client, address, key })
    return client
  }
  return {
    async hold(app, { address, key }, { mayWake, patienceMs }) {
      const headers = {
        [HOP_APP]: app.name,
        [HOP_KEY]: key,
        ...(patienceMs !== undefined && { [HOP_PATIENCE]: String(patienceMs) }),
        ...(!mayWake && { [WAKE_HEADER]: 'never' }),
      }
      return { address, headers, isHop: true, [Symbol.dispose]: () => undefined }
    },
    async *follow(app, node, signal) {
      const { body } = await clientOf(node).raw('followInstance', { params: { app }, signal })
      for await (const event of readEvents(body)) yield InstanceSchema.parse(event)
    },
    check: (node, signal) => clientOf(node).call('health', { signal }),
  }
}
