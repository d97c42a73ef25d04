import type { Clock } from '../../lib/clock.ts'
import { isEc2 } from '../../lib/ec2/failures.ts'
import { type FleetName, numberOf } from '../../model/fleet.ts'
import type { NodeName } from '../../model/names.ts'
import type { Machine, MachineApi } from './ec2-api.ts'
import { type Fleet, FleetError, type Offer, type Order, type Server } from './fleet.ts'
import { offerKey, type Prices, parseOffer } from './prices.ts'

export type Ec2Terms = {
  readonly name: FleetName
  /** In order of preference; empty: that of the launch template. */
  readonly types: readonly string[]
  readonly subnets: readonly string[]
  /** `prefer`: what is not to be had on the spot market is bought on demand. */
  readonly spot: 'off' | 'on' | 'prefer'
}
type Options = {
  readonly terms: Ec2Terms
  readonly api: MachineApi
  readonly prices: Prices
  /** What a new machine is told, with the token by which it joins. */
  readonly userData: (server: { readonly node: NodeName; readonly joinToken: string }) => string
  readonly clock: Clock
}

/** The tags of a server. Whatever has another cluster, or no node, is not of this fleet. */
const CLUSTER_TAG = 'shadow:cluster'
const SERVER_TAG = 'shadow:server'
const NODE_TAG = 'shadow:node'

/** A machine that EC2 has made shows in its lists by then. */
const LISTED_WITHIN_MS = 120_000

const STATES: Readonly<Record<Machine['state'], Server['state']>> = {
  pending: 'pending',
  running: 'running',
  stopping: 'stopping',
  stopped: 'stopped',
  'shutting-down': 'ending',
  terminated: 'ended',
}

/** Servers on AWS EC2. The name of the node is the token of its order, so EC2 itself makes one machine for it at most: decision 040. */
export function ec2({ terms, api, prices, userData, clock }: Options): Fleet {
  const { name } = terms
  let zones: ReadonlyMap<string, string> | undefined
  /** When it was first told of each order that the token was used before. */
  const usedBefore = new Map<NodeName, number>()

  const serverOf = (machine: Machine): Server[] => {
    const { id, state, type, subnet, zone, isSpot, tags } = machine
    const node = tags[NODE_TAG] ?? ''
    const number = numberOf(name, node)
    if (number === undefined || tags[SERVER_TAG] !== String(number)) return []
    return [
      {
        id,
        number,
        node: node as NodeName,
        state: STATES[state],
        offer: offerKey({
          type: terms.types.length === 0 ? undefined : type,
          subnet: terms.subnets.length === 0 ? undefined : subnet,
          isSpot,
        }),
        zone,
        // A spot instance that was asked for once cannot be stopped.
        canStop: !isSpot,
        canStart: !isSpot,
        canEnd: true,
      },
    ]
  }
  const listed = async (tags: Readonly<Record<string, string>> = {}): Promise<Server[]> =>
    (await calling('list its servers', api.machines({ [CLUSTER_TAG]: name, ...tags }))).flatMap(serverOf)

  const run = async ({ number, node, offer, joinToken }: Order): Promise<void> => {
    const tags = { [CLUSTER_TAG]: name, [SERVER_TAG]: String(number), [NODE_TAG]: node, Name: node }
    const machine = {
      ...parseOffer(offer),
      token: node,
      tags,
      userData: userData({ node, joinToken: await joinToken() }),
    }
    try {
      await api.run(machine)
      usedBefore.delete(node)
    } catch (error) {
      if (!isEc2(error, 'token-used')) throw asFleetError(`make ${node}`, error)
      // The user data differs, since each has a token of its own. So the same order was given before, and EC2 has it, or has refused it.
      const since = usedBefore.get(node) ?? clock.now()
      usedBefore.set(node, since)
      const isLate = clock.now() - since > LISTED_WITHIN_MS
      throw new FleetError(isLate ? 'refused' : 'unsure', `${node} was ordered before, and is not listed`, error)
    }
  }

  return {
    async offers(): Promise<readonly Offer[]> {
      zones ??= await calling('list the subnets', api.zones(terms.subnets))
      const markets = { off: [false], on: [true], prefer: [true, false] }[terms.spot]
      const types = terms.types.length === 0 ? [undefined] : terms.types
      const subnets = terms.subnets.length === 0 ? [undefined] : terms.subnets
      return markets.flatMap(isSpot =>
        types.flatMap(type =>
          subnets.map(subnet => {
            const zone = subnet === undefined ? undefined : zones?.get(subnet)
            return { key: offerKey({ type, subnet, isSpot }), ...(zone !== undefined && { zone }) }
          }),
        ),
      )
    },

    list: () => listed(),

    async start(order) {
      const all = await listed({ [NODE_TAG]: order.node })
      const found = all.find(({ state }) => state !== 'ended' && state !== 'ending') ?? all[0]
      switch (found?.state) {
        case undefined:
          return run(order)
        case 'stopped':
          return calling(`start ${found.id}`, api.start(found.id))
        case 'stopping':
          throw new FleetError('unsure', `${found.id} is stopping, and starts after that`)
        case 'ending':
        case 'ended':
          throw new FleetError('ended', `${found.id}, made for ${order.node}, has ended`)
      }
    },

    stop: ({ id, state }) => {
      if (state !== 'running' && state !== 'pending') return Promise.resolve()
      return calling(`stop ${id}`, unlessGone(api.stop(id)))
    },

    terminate: ({ id, state }) => {
      if (state === 'ended') return Promise.resolve()
      return calling(`end ${id}`, unlessGone(api.terminate(id)))
    },

    price: (offer, isStopped) => prices.of(parseOffer(offer), isStopped),
  }
}

async function calling<T>(what: string, call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    throw asFleetError(what, error)
  }
}

const unlessGone = (call: Promise<void>): Promise<void> =>
  call.catch(error => {
    if (!isEc2(error, 'not-found')) throw error
  })

/** Any other error, such as one of the master, stays as it is. */
function asFleetError(what: string, error: unknown): unknown {
  if (isEc2(error, 'no-capacity'))
    return new FleetError('full', `EC2 cannot ${what}: no capacity (${error.message})`, error)
  if (isEc2(error, 'token-ended'))
    return new FleetError('ended', `EC2 cannot ${what}: it has ended (${error.message})`, error)
  if (isEc2(error, 'denied'))
    return new FleetError(
      'refused',
      `EC2 cannot ${what}: the credentials of this front do not allow it; compare its role with contrib/aws/iam-proxy.json (${error.message})`,
      error,
    )
  if (isEc2(error, 'throttled', 'no-answer', 'called-off', 'wrong-state'))
    return new FleetError('unsure', `EC2 cannot ${what} now: ${error.failure} (${error.message})`, error)
  if (isEc2(error)) return new FleetError('refused', `EC2 cannot ${what}: ${error.failure} (${error.message})`, error)
  return error
}
