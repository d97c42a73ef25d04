import { z } from 'zod'
import { admin, type Call } from './call-shape.ts'
import { InstanceIdSchema, NodeNameSchema, VolumeUseSchema } from './schemas.ts'

const bytes = z.number().min(0)

const InstanceStatsSchema = z
  .object({
    instance: InstanceIdSchema,
    node: NodeNameSchema,
    atMs: z.number().describe('when it was read, by the monotonic clock of the node'),
    run: z.string().describe('counters of another run begin at zero'),
    cpuMs: z.number().min(0).describe('processor time since the start'),
    cpus: z.number().describe('how many processors it may use'),
    memoryBytes: bytes,
    memoryLimitBytes: bytes,
    receivedBytes: bytes,
    sentBytes: bytes,
    readBytes: bytes.describe('read from disks'),
    writtenBytes: bytes.describe('written to disks'),
    pids: z.int().min(0),
    pidsLimit: z.int(),
    volume: VolumeUseSchema.optional(),
  })
  .meta({ id: 'InstanceStats' })

export const statsCalls = {
  listStats: {
    says: 'what the instances that are awake or frozen use: processor, memory, network, disk, processes; silent: nodes that did not answer',
    answer: z.object({ items: z.array(InstanceStatsSchema), silent: z.array(NodeNameSchema) }),
    may: admin,
  },
} satisfies Record<string, Call>

export const nodeStatsCalls = {
  listStats: {
    says: 'what the instances of this node use that are awake or frozen',
    answer: z.object({ items: z.array(InstanceStatsSchema) }),
    may: admin,
  },
} satisfies Record<string, Call>
