import { BlockList } from 'node:net'
import { networkInterfaces } from 'node:os'
import { CLOSED_NETWORKS, type Destinations } from '../../model/egress.ts'

const closed = new BlockList()
for (const one of CLOSED_NETWORKS) addTo(closed, one)
const loopback = new BlockList()
addTo(loopback, '127.0.0.0/8')

/**
 * Whether an app may be connected to this address, to which a name of its list has led: a name must not be a way into a private network, or
 * to this machine. An app that may reach the address anyway may do so by a name, too.
 */
export function mayConnect(
  address: string,
  port: number,
  { destinations }: Pick<Destinations, 'destinations'>,
  { frontPorts, own }: { readonly frontPorts: readonly number[]; readonly own: ReadonlySet<string> },
): boolean {
  // From here, services of this machine that listen on the loopback interface alone could be reached.
  if (loopback.check(address)) return false
  if (own.has(address)) return frontPorts.includes(port)
  if (!closed.check(address)) return true
  return destinations.some(({ to, port: only }) => {
    if (to === 'host' || (only !== undefined && only !== port)) return false
    const network = new BlockList()
    addTo(network, to)
    return network.check(address)
  })
}

function addTo(list: BlockList, network: string): void {
  const [address = '', bits = '32'] = network.split('/')
  list.addSubnet(address, Number(bits))
}

/** All addresses of this machine. It has one for each network of apps, so they are read once for all addresses of a host. */
export const ownAddresses = (): ReadonlySet<string> =>
  new Set(Object.values(networkInterfaces()).flatMap(list => (list ?? []).map(({ address }) => address)))
