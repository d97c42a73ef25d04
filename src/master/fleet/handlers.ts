import type { fleetCalls } from '../../api/fleet-calls.ts'
import { joinTokenText } from '../../api/join-token.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type FleetName, numberOf } from '../../model/fleet.ts'
import { toMs } from '../../model/quantities.ts'
import type { Handlers } from '../call.ts'
import type { ClusterHandlers } from '../cluster/handlers.ts'
import type { Cordons } from '../cordons.ts'
import type { Caller } from '../known-callers.ts'
import type { NodeRemoval } from '../node-removal.ts'
import type { FleetRecords } from './records.ts'

type Parts = {
  readonly fleets: FleetRecords
  readonly cordons: Cordons
  readonly removal: NodeRemoval
  readonly cluster: ClusterHandlers
}
type FleetHandlers = Pick<Handlers, keyof typeof fleetCalls>

/** A server that has not joined by then is ended by its fleet: see SHADOW_FLEET_JOIN_WITHIN, which is shorter. */
const JOINS_WITHIN_MS = 3_600_000

/** The handlers of the calls about fleets. A front runs a fleet only if an admin has allowed it: it can make nodes, and what nodes may read. */
export function fleetHandlers({ fleets, cordons, removal, cluster }: Parts): FleetHandlers {
  /** The name of the front that calls; fails with `forbidden` if it may not run this fleet. */
  const mustRun = async (fleet: FleetName, caller: Caller | undefined): Promise<string> => {
    const front = caller?.name ?? ''
    if ((await fleets.get(fleet)).fronts.includes(front)) return front
    throw new ShadowError('forbidden', `the front ${front} may not run the fleet ${fleet}`, {
      hint: `let it: shadow fleet allow ${front} --fleet ${fleet}`,
    })
  }

  return {
    async getFleet({ params }) {
      const fleet = await fleets.get(params.fleet)
      const { fronts, nodes, lease, servers, report } = fleet
      const leader = lease !== null && fleets.hasLeader(fleet) ? { front: lease.front, until: lease.until } : null
      return { value: { fronts, nodes, leader, servers, report } }
    },
    async allowFleet({ params: { fleet, front }, body: { nodes } }) {
      const made = nodes?.find(node => numberOf(fleet, node) !== undefined)
      if (made !== undefined)
        throw new ShadowError(
          'bad-input',
          `nodes: ${made} is named like a server that the fleet ${fleet} makes by itself`,
        )
      await fleets.allow(fleet, front, nodes)
    },
    async denyFleet({ params: { fleet, front } }) {
      await fleets.deny(fleet, front)
    },

    async leaseFleet({ params, body: { wanted, ...lease } }, { caller }) {
      const front = await mustRun(params.fleet, caller)
      return { value: await fleets.lease(params.fleet, { ...lease, front }, wanted) }
    },
    async releaseFleet({ params, query }, { caller }) {
      await mustRun(params.fleet, caller)
      await fleets.release(params.fleet, query)
    },
    async saveFleet({ params, body: { holder, epoch, ...saved } }, { caller }) {
      await mustRun(params.fleet, caller)
      await fleets.save(params.fleet, { holder, epoch }, saved)
    },

    async createServerToken({ params: { fleet, node }, body }, { caller }) {
      await mustRun(fleet, caller)
      const server = await fleets.serverOf(fleet, body, node)
      if (server?.phase !== 'ordered')
        throw new ShadowError('forbidden', `${node} is not an ordered server of the fleet ${fleet}`)
      return { value: { token: joinTokenText(await cluster.tokenFor(node, JOINS_WITHIN_MS)) } }
    },
    async drainServer({ params: { fleet, node }, body: { deadline, ...leader } }, { caller }) {
      await mustRun(fleet, caller)
      await fleets.serverOf(fleet, leader, node)
      await cordons.drain(node, toMs(deadline), 'refuse')
    },
    async undrainServer({ params: { fleet, node }, query }, { caller }) {
      await mustRun(fleet, caller)
      await fleets.serverOf(fleet, query, node)
      await cordons.uncordon(node)
    },
    async removeServer({ params: { fleet, node }, query: { ended, ...leader } }, { caller }) {
      await mustRun(fleet, caller)
      await fleets.serverOf(fleet, leader, node)
      // Before anything else, so that the machine cannot join from now on.
      await cluster.forgetTokensFor(node)
      const lost = ended === 'true' ? await removal.removeEnded(node) : await removal.removeEmpty(node)
      return { value: { lost: [...lost] } }
    },
  }
}
