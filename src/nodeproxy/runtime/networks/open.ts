import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { NodeName } from '../../../model/names.ts'
import type { AppNetworks } from '../app-networks.ts'
import type { Engine } from '../docker-engine.ts'
import { isAmbiguous } from '../docker-network.ts'
import type { DockerStop } from '../docker-stop.ts'
import { messageOf, statusOf } from '../failures.ts'
import { HeldNetworks } from './held-networks.ts'
import { type Holder, NetworkHolders } from './network-holders.ts'
import { PreparedNetworks } from './prepared-networks.ts'

type Options = {
  readonly engine: Engine
  readonly node: NodeName
  readonly networks: AppNetworks
  readonly stops: Pick<DockerStop, 'alone' | 'kill'>
  /** How many networks are made before containers need them. */
  readonly size: number
  readonly clock: Clock
  readonly log: Log
}

const TRIES = 3
const ADDRESS_TAKEN = /address already in use|no configured subnet|not belong to|invalid address/i

/** Networks on the bridges of a node that are made before containers need them, and those that containers have joined. */
export function openNetworks({ engine, node, networks, stops, size, clock, log }: Options) {
  const holders = new NetworkHolders({ engine, node })
  const prepared = new PreparedNetworks({
    size,
    make: () => makeHolder(holders, networks),
    async remove(holder) {
      await stops.alone(() => holders.remove(holder))
      networks.free(holder.address)
    },
    ended: (...of) => holders.ended(...of),
    clock,
    log,
  })
  return { prepared, held: new HeldNetworks({ prepared, holders, kill: container => stops.kill(container), log }) }
}

/** Makes a holder on a network of the node, which is made where it is missing. */
async function makeHolder(holders: NetworkHolders, networks: AppNetworks): Promise<Holder> {
  for (let left = TRIES; ; left -= 1) {
    const { network, address } = await networks.take({ isLinked: false })
    try {
      const holder = await holders.make(network.name, address)
      await network.takeIPv6Off()
      return holder
    } catch (error) {
      // An address that somebody else has taken is not freed.
      if (!ADDRESS_TAKEN.test(messageOf(error))) networks.free(address)
      if (left === 0 || !isOfNetwork(error)) throw error
    }
    await network.remake()
  }
}

/** Whether Docker could not make or start a container because its network is gone or is there twice, or somebody else has its address. */
export const isOfNetwork = (error: unknown): boolean =>
  (statusOf(error) === 404 && messageOf(error).includes('network')) ||
  ADDRESS_TAKEN.test(messageOf(error)) ||
  isAmbiguous(error)
