import type { Clock } from '../../lib/clock.ts'
import type { NodeName } from '../../model/names.ts'
import { type Fleet, FleetError, type Server } from './fleet.ts'

type Options = {
  /** The nodes that are in the fleet; their place in the list is their number. */
  readonly nodes: readonly NodeName[]
  /** Whether the machine is up: its node announces itself. */
  readonly isUp: (node: NodeName) => boolean
  /** Starts and stops the machine of a node; left out: a person does. */
  readonly start?: ((node: NodeName) => Promise<void>) | undefined
  readonly stop?: ((node: NodeName) => Promise<void>) | undefined
  readonly usdPerHour?: number | undefined
  readonly clock: Clock
}

/** So long after it was told to start or stop, a machine counts as on its way. */
const ON_ITS_WAY_MS = 120_000

/** Machines that exist, and have joined as nodes. They are started and stopped by commands of the operator, or by hand. */
export function staticFleet({ nodes, isUp, start, stop, usdPerHour, clock }: Options): Fleet {
  const told = new Map<NodeName, { readonly toStart: boolean; readonly at: number }>()
  const stateOf = (node: NodeName): Server['state'] => {
    const last = told.get(node)
    const isOnItsWay = last !== undefined && clock.now() - last.at < ON_ITS_WAY_MS
    if (isUp(node)) return isOnItsWay && !last.toStart ? 'stopping' : 'running'
    return isOnItsWay && last.toStart ? 'pending' : 'stopped'
  }
  const tell = async (node: NodeName, toStart: boolean): Promise<void> => {
    const command = toStart ? start : stop
    if (command === undefined) return
    try {
      await command(node)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new FleetError('refused', `the command to ${toStart ? 'start' : 'stop'} ${node} failed: ${why}`, cause)
    }
    told.set(node, { toStart, at: clock.now() })
  }

  return {
    offers: async () => [],
    list: async () =>
      nodes.map((node, index) => ({
        id: node,
        number: index + 1,
        node,
        state: stateOf(node),
        offer: '',
        canStop: stop !== undefined,
        canStart: start !== undefined,
        canEnd: false,
      })),
    async start({ node }) {
      if (stateOf(node) === 'stopped') await tell(node, true)
    },
    async stop({ node }) {
      if (stateOf(node) !== 'stopped') await tell(node, false)
    },
    terminate: async ({ node }) => {
      throw new FleetError('refused', `${node} is a machine of the operator, and is not ended`)
    },
    price: (_, isStopped) =>
      usdPerHour === undefined ? undefined : { usdPerHour: isStopped ? 0 : usdPerHour, source: 'SHADOW_STATIC_PRICE' },
  }
}
