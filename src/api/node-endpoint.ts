import { ShadowError } from '../lib/errors.ts'
import type { ClientTls, Credentials } from '../lib/tls/credentials.ts'
import type { Node } from '../model/app.ts'
import { memberHost } from '../model/member.ts'

/**
 * Where a node is reached and how: in a cluster by mutual TLS, by the name and id that its certificate must have; else in clear. Fails with
 * `node-unreachable` if only one of the two sides is in the cluster.
 */
export function endpointOf(node: Node, credentials: Credentials | undefined): { url: string; tls?: ClientTls } {
  const tls = nodeTls(node, credentials)
  return tls === undefined ? { url: `http://${node.address}` } : { url: `https://${node.address}`, tls }
}

/** How the connection to a node is secured; undefined for one in clear. Fails as `endpointOf` does. */
export function nodeTls({ name, member }: Node, credentials: Credentials | undefined): ClientTls | undefined {
  if (member === undefined && credentials === undefined) return undefined
  if (member === undefined)
    throw new ShadowError('node-unreachable', `the node ${name} is not in the cluster, and this machine is`, {
      hint: `shadow node join --token TOKEN, with a token of: shadow node token ${name}`,
    })
  if (credentials === undefined)
    throw new ShadowError('node-unreachable', `the node ${name} is in a cluster, and this machine is not`, {
      hint: 'shadow proxy join --token TOKEN, with a token of: shadow proxy token NAME',
    })
  return { servername: memberHost({ role: 'node', name, id: member }), credentials }
}
