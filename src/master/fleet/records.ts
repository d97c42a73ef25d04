import { z } from 'zod'
import { FleetMemorySchema, FleetReportSchema, ServerRecordSchema, WantedSchema } from '../../api/fleet-calls.ts'
import { NodeNameSchema } from '../../api/schemas.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type FleetName, numberOf, type ServerRecord, type Wanted } from '../../model/fleet.ts'
import { WANTED_COUNTS_FOR } from '../../model/intervals.ts'
import { hasExpired, type Leased, releaseLease, renewLease, takeLease } from '../../model/lease.ts'
import type { NodeName } from '../../model/names.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'

/** `lease.front` is the name of the front; `lease.holder` is its run: a front that starts again is another holder. */
const StoredSchema = z.object({
  fronts: z.array(z.string()).default([]),
  nodes: z.array(NodeNameSchema).default([]),
  lease: z
    .object({ holder: z.string(), front: z.string(), epoch: z.int(), until: z.iso.datetime() })
    .nullable()
    .default(null),
  epoch: z.int().default(0),
  servers: z.array(ServerRecordSchema).default([]),
  memory: FleetMemorySchema.default({ failures: 0 }),
  wanted: z.record(z.string(), z.object({ at: z.iso.datetime(), apps: z.array(WantedSchema) })).default({}),
  report: FleetReportSchema.optional(),
})
export type StoredFleet = z.output<typeof StoredSchema>

/** The front that calls, and its lease. */
export type Leader = { readonly holder: string; readonly epoch: number }
type Lease = {
  readonly holder: string
  readonly front: string
  readonly forMs: number
  readonly epoch?: number | undefined
}
type Saved = Pick<StoredFleet, 'servers' | 'memory' | 'report'>

export type FleetRecords = ReturnType<typeof fleetRecords>

/**
 * The fleets, in `fleets/<name>.json`: which fronts may run the fleet, which one leads it, and its servers. Each write of a front is bound to
 * the epoch of its lease, so a front that was paused and leads no more records no order.
 */
export function fleetRecords({ storage, clock }: { storage: Storage; clock: Clock }) {
  const keyOf = (fleet: FleetName): string => `fleets/${fleet}.json`
  const read = async (fleet: FleetName) => {
    const stored = await storage.get(keyOf(fleet))
    return { fleet: StoredSchema.parse(stored?.value ?? {}), etag: stored?.etag }
  }
  const change = (name: FleetName, next: (now: StoredFleet) => StoredFleet | undefined): Promise<StoredFleet> =>
    retryOnConflict(async () => {
      const { fleet, etag } = await read(name)
      const then = next(fleet)
      if (then === undefined) return fleet
      await (etag === undefined ? storage.create(keyOf(name), then) : storage.update(keyOf(name), then, etag))
      return then
    })

  const leasedOf = ({ lease, epoch }: StoredFleet): Leased => ({
    // The rules of leases ask no more of a holder than that it has a name.
    lease: lease && { node: lease.holder as NodeName, epoch: lease.epoch, until: lease.until },
    epoch,
  })

  /** The lease of this holder, renewed or taken; undefined while another one has it. */
  const leaseFor = (fleet: StoredFleet, { holder, front, forMs, epoch }: Lease): StoredFleet | undefined => {
    const now = leasedOf(fleet)
    const until = new Date(clock.wall() + forMs).toISOString()
    const name = holder as NodeName
    const renewed = epoch === undefined ? undefined : renewLease(now, name, epoch, until)
    const next = renewed ?? takeLease(now, name, until, clock.wall())
    if (next?.lease == null) return undefined
    return { ...fleet, lease: { holder, front, epoch: next.lease.epoch, until }, epoch: next.epoch }
  }

  const wantedFrom = (fleet: StoredFleet, front: string): Wanted[] =>
    Object.entries(fleet.wanted).flatMap(([from, { at, apps }]) => {
      const agoMs = Math.max(0, clock.wall() - Date.parse(at))
      if (from === front) return []
      return apps
        .map(app => ({ ...app, firstMs: app.firstMs + agoMs, lastMs: app.lastMs + agoMs }))
        .filter(({ lastMs }) => lastMs < WANTED_COUNTS_FOR)
    })

  const mustLead = (fleet: StoredFleet, { holder, epoch }: Leader): void => {
    if (fleet.lease?.holder === holder && fleet.lease.epoch === epoch) return
    throw new ShadowError('changed', `${fleet.lease?.front ?? 'another front'} leads the fleet now`)
  }

  return {
    get: async (name: FleetName): Promise<StoredFleet> => (await read(name)).fleet,

    /** Lets the front run the fleet. `nodes`: which nodes that were there before belong to the fleet; left out: as it was. */
    allow: (name: FleetName, front: string, nodes: readonly NodeName[] | undefined) =>
      change(name, now => ({
        ...now,
        fronts: [...new Set([...now.fronts, front])].sort(),
        nodes: nodes === undefined ? now.nodes : [...nodes],
      })),

    /** Lets the front run the fleet no more. If it leads the fleet, it does so no more from now on. */
    deny: (name: FleetName, front: string) =>
      change(name, now => ({
        ...now,
        fronts: now.fronts.filter(one => one !== front),
        lease: now.lease?.front === front ? null : now.lease,
      })),

    /** Leads the fleet, or records what this front wants of the one that leads it. */
    async lease(name: FleetName, lease: Lease, wanted: readonly Wanted[]) {
      let leads = false
      const fleet = await change(name, now => {
        const led = leaseFor(now, lease)
        leads = led !== undefined
        if (led !== undefined) {
          const { [lease.front]: _, ...others } = led.wanted
          return { ...led, wanted: others }
        }
        const { [lease.front]: before, ...others } = now.wanted
        if (wanted.length === 0) return before && { ...now, wanted: others }
        return { ...now, wanted: { ...others, [lease.front]: { at: timestamp(clock), apps: [...wanted] } } }
      })
      return {
        epoch: leads ? fleet.epoch : null,
        at: timestamp(clock),
        servers: fleet.servers,
        memory: fleet.memory,
        wanted: leads ? wantedFrom(fleet, lease.front) : [],
      }
    },

    release: (name: FleetName, { holder, epoch }: Leader) =>
      change(name, now => {
        const { lease } = releaseLease(leasedOf(now), holder as NodeName, epoch)
        return lease === null && now.lease !== null ? { ...now, lease: null } : undefined
      }),

    /** Keeps what the leader has decided; fails with `changed` if another front leads. */
    save: (name: FleetName, leader: Leader, saved: Saved) =>
      change(name, now => {
        mustLead(now, leader)
        mustBeOurs(name, now, saved.servers)
        return { ...now, ...saved }
      }),

    /** The server of this name, which this leader may drain or remove; fails with `changed` and `forbidden`. */
    async serverOf(name: FleetName, leader: Leader, node: NodeName): Promise<ServerRecord | undefined> {
      const { fleet } = await read(name)
      mustLead(fleet, leader)
      const server = fleet.servers.find(one => one.node === node)
      if (server === undefined && !fleet.nodes.includes(node)) throw notOurs(name, node)
      return server
    },

    hasLeader: ({ lease }: StoredFleet): boolean => lease !== null && !hasExpired(leaseAsNodes(lease), clock.wall()),
  }
}

const leaseAsNodes = ({ holder, epoch, until }: NonNullable<StoredFleet['lease']>) => ({
  node: holder as NodeName,
  epoch,
  until,
})

/** A front records servers that the fleet made, and nodes that an admin has given to the fleet: a stolen one gets no other node. */
function mustBeOurs(name: FleetName, { nodes }: StoredFleet, servers: readonly ServerRecord[]): void {
  for (const { node, number } of servers)
    if (numberOf(name, node) !== number && !nodes.includes(node)) throw notOurs(name, node)
  const numbers = new Set(servers.map(({ number }) => number))
  if (numbers.size !== servers.length) throw new ShadowError('bad-input', 'two servers have one number')
}

const notOurs = (fleet: FleetName, node: NodeName): ShadowError =>
  new ShadowError('forbidden', `${node} is not a server of the fleet ${fleet}`, {
    hint: `let the fleet have it: shadow fleet allow FRONT --node ${node}`,
  })
