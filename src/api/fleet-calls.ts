import { z } from 'zod'
import { type FleetName, faultOfFleetName, MOST_SERVERS, SERVER_PHASES, STEPS } from '../model/fleet.ts'
import { admin, type Call } from './call-shape.ts'
import { DurationSchema, NodeNameSchema } from './schemas.ts'

const FleetNameSchema = z
  .string()
  .superRefine((text, context) => {
    const message = faultOfFleetName(text)
    if (message !== undefined) context.addIssue({ code: 'custom', message })
  })
  .transform(text => text as FleetName)
  .meta({ id: 'FleetName', override: { type: 'string' } })

const fleet = z.strictObject({ fleet: FleetNameSchema })
const front = fleet.extend({ front: z.string().min(1).max(100) })
const server = fleet.extend({ node: NodeNameSchema })
/** Which run of which front calls, and the epoch of the lease that it has. */
const leader = { holder: z.string().min(8).max(64), epoch: z.int().min(1) }

export const ServerRecordSchema = z
  .object({
    number: z.int().min(1).max(MOST_SERVERS),
    node: NodeNameSchema,
    offer: z.string().max(200),
    phase: z.enum(SERVER_PHASES),
    since: z.iso.datetime(),
    epoch: z.int(),
    refused: z.string().max(500).optional(),
  })
  .meta({ id: 'ServerRecord' })

export const WantedSchema = z.object({
  app: z.string().max(63),
  bytes: z.number().min(0),
  zone: z.string().max(63).optional(),
  driver: z.string().max(63).optional(),
  firstMs: z.number().min(0),
  lastMs: z.number().min(0),
})

const ServerShapeSchema = z.object({
  bytes: z.number(),
  volumeSlots: z.number().optional(),
  drivers: z.array(z.string()).optional(),
})

/** What the front that leads the fleet keeps for its successor. */
export const FleetMemorySchema = z.object({
  shape: ServerShapeSchema.optional().describe('what a server of the fleet offers to apps'),
  failures: z.int().min(0).default(0).describe('how many servers in a row never became nodes'),
  failedAt: z.iso.datetime().optional(),
})

export const FleetReportSchema = z
  .object({
    at: z.iso.datetime(),
    driver: z.string(),
    isDryRun: z.boolean().describe('true: nothing of the plan is done'),
    max: z.int(),
    servers: z.array(
      z.object({
        number: z.int(),
        node: NodeNameSchema,
        phase: z.enum(SERVER_PHASES),
        since: z.iso.datetime(),
        machine: z.string().optional(),
        state: z.string().optional(),
        offer: z.string(),
        zone: z.string().optional(),
        awake: z.int().optional(),
        freeBytes: z.number().optional(),
        usdPerHour: z.number().optional(),
        note: z.string().optional(),
      }),
    ),
    plan: z.array(
      z.object({
        do: z.enum(STEPS),
        node: z.string(),
        offer: z.string().optional(),
        why: z.string(),
        usdPerHour: z.number().optional().describe('how much more or less the fleet costs then'),
      }),
    ),
    notes: z.array(z.string()),
    usdPerHour: z.number().optional().describe('left out where a price is not known'),
    prices: z.string().describe('where the prices are from'),
  })
  .meta({ id: 'FleetReport' })

/** The calls about fleets: servers that fronts start and end. A front may make those that an admin has allowed it. */
export const fleetCalls = {
  getFleet: {
    says: 'read a fleet: its servers, and what the front that leads it has seen and does next',
    params: fleet,
    answer: z.object({
      fronts: z.array(z.string()).describe('fronts that may run the fleet'),
      nodes: z.array(NodeNameSchema).describe('nodes that were there before, and that the fleet may stop and start'),
      leader: z.object({ front: z.string(), until: z.iso.datetime() }).nullable(),
      servers: z.array(ServerRecordSchema),
      report: FleetReportSchema.optional(),
    }),
    may: admin,
  },
  allowFleet: {
    says: 'let a front run a fleet: make servers, let them join as nodes, drain, stop and remove them; with nodes, also drain and stop these',
    params: front,
    body: z.strictObject({ nodes: z.array(NodeNameSchema).max(MOST_SERVERS).optional() }),
    answer: 'nothing',
    may: admin,
  },
  denyFleet: {
    says: 'let a front run a fleet no more; its servers stay as they are',
    params: front,
    answer: 'nothing',
    may: admin,
  },
  leaseFleet: {
    says: 'ask to lead the fleet for forMs milliseconds, or on with the epoch of the lease; one front leads at a time; wanted: apps that no node had room for at this front',
    params: fleet,
    body: z.strictObject({
      holder: leader.holder,
      forMs: z.int().min(5_000).max(600_000),
      epoch: z.int().optional(),
      wanted: z.array(WantedSchema).max(100).default([]),
    }),
    answer: z.object({
      epoch: z.int().nullable().describe('null: another front leads'),
      at: z.iso.datetime().describe('the time by the master'),
      servers: z.array(ServerRecordSchema),
      memory: FleetMemorySchema,
      wanted: z.array(WantedSchema).describe('of the other fronts, for the one that leads'),
    }),
    may: ['proxy'],
  },
  releaseFleet: {
    says: 'lead the fleet no more, so that another front may at once',
    params: fleet,
    query: z.strictObject({ holder: leader.holder, epoch: z.coerce.number().int() }),
    answer: 'nothing',
    may: ['proxy'],
  },
  saveFleet: {
    says: 'keep the servers of the fleet, before they are ordered; fails with changed if another front leads',
    params: fleet,
    body: z.strictObject({
      ...leader,
      servers: z.array(ServerRecordSchema).max(MOST_SERVERS),
      memory: FleetMemorySchema,
      report: FleetReportSchema,
    }),
    answer: 'nothing',
    may: ['proxy'],
  },
  createServerToken: {
    says: 'make a token with which an ordered server joins the cluster once, as its node; fails with already-exists if it has joined',
    params: server,
    body: z.strictObject(leader),
    answer: z.object({ token: z.string() }),
    status: 201,
    may: ['proxy'],
  },
  drainServer: {
    says: 'let all apps leave a server of the fleet; fails with volumes-stay if volumes are on its disk',
    params: server,
    body: z.strictObject({ ...leader, deadline: DurationSchema }),
    answer: 'nothing',
    may: ['proxy'],
  },
  undrainServer: {
    says: 'let a server of the fleet take apps again',
    params: server,
    query: z.strictObject({ holder: leader.holder, epoch: z.coerce.number().int() }),
    answer: 'nothing',
    may: ['proxy'],
  },
  removeServer: {
    says: 'remove the node of a server that is drained, stopped, or has not become one, before its machine is ended; fails with node-in-use if volumes are on its disk; ended=true: its machine has ended for good, so other nodes take over at once the volumes that they reach',
    params: server,
    query: z.strictObject({
      holder: leader.holder,
      epoch: z.coerce.number().int(),
      ended: z.enum(['true', 'false']).default('false'),
    }),
    answer: z.object({ lost: z.array(z.string()).describe('volumes that were on the disk of the machine') }),
    may: ['proxy'],
  },
} satisfies Record<string, Call>
