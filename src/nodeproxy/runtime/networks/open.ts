import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { NodeName } from '../../../model/names.ts'
import type { Addresses } from '../addresses.ts'
import type { Engine } from '../docker-engine.ts'
import { type DockerNetwork, isAmbiguous } from '../docker-network.ts'
import type { DockerStop } from '../docker-stop.ts'
import { messageOf, statusOf } from '../failures.ts'
import { HeldNetworks } from './held-networks.ts'
import { type Holder, NetworkHolders } from './network-holders.ts'
import { PreparedNetworks } from './prepared-networks.ts'

type Options = {
  readonly engine: Engine
  readonly node: NodeName
  readonly bridge: DockerNetwork
  readonly addresses: Addresses
  readonly stops: Pick<DockerStop, 'alone' | 'kill'>
  /** How many networks are made before containers need them. */
  readonly size: number
  readonly clock: Clock
  readonly log: Log
}

const TRIES = 3
const ADDRESS_TAKEN = /address already in use|no configured subnet|not belong to|invalid address/i

/** Networks on the bridge of a node that are made before containers need them, and those that containers have joined. */
export function openNetworks({ engine, node, bridge, addresses, stops, size, clock, log }: Options) {
  const holders = new NetworkHolders({ engine, node, network: bridge.name })
  const prepared = new PreparedNetworks({
    size,
    make: () => makeHolder(holders, bridge, addresses),
    async remove(holder) {
      await stops.alone(() => holders.remove(holder))
      addresses.free(holder.address)
    },
    ended: (...of) => holders.ended(...of),
    clock,
    log,
  })
  return { prepared, held: new HeldNetworks({ prepared, holders, kill: container => stops.kill(container), log }) }
}

/** Makes a holder on the network of the node, which is made where it is missing. */
async function makeHolder(holders: NetworkHolders, bridge: DockerNetwork, addresses: Addresses): Promise<Holder> {
  for (let left = TRIES; ; left -= 1) {
    await bridge.ensure()
    const address = await addresses.take(bridge.subnet)
    try {
      const holder = await holders.make(address)
      await bridge.takeIPv6Off()
      return holder
    } catch (error) {
      // An address that somebody else has taken is not freed.
      if (!ADDRESS_TAKEN.test(messageOf(error))) addresses.free(address)
      if (left === 0 || !isOfNetwork(error)) throw error
    }
    await bridge.remake()
  }
}

/** Whether Docker could not make or start a container because its network is gone or is there twice, or somebody else has its address. */
export const isOfNetwork = (error: unknown): boolean =>
  (statusOf(error) === 404 && messageOf(error).includes('network')) ||
  ADDRESS_TAKEN.test(messageOf(error)) ||
  isAmbiguous(error)
