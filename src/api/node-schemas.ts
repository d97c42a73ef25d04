import { z } from 'zod'
import type { Node } from '../model/app.ts'
import type { InstanceLoad } from '../model/instance.ts'
import { type Cordon, NODE_STATES, VOLUMES_OF_DRAINED } from '../model/node-state.ts'
import { IMAGE_KEY_LENGTH, MOST_IMAGES, PLACEMENT_REASONS, REJECTION_REASONS } from '../model/placement.ts'
import { LabelsSchema } from './labels-schema.ts'
import { described, InstanceIdSchema, NodeNameSchema, VolumeDriverSchema } from './schemas.ts'

const aboutNode = {
  address: z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[^\s/:]+):\d{1,5}$/, 'must be HOST:PORT'),
  key: z.string().min(16).describe('what fronts show to the node'),
  cpus: z.number(),
  memoryBytes: z.number(),
  cpuUtilization: z.number(),
  memoryUtilization: z.number(),
  awake: z.int(),
  labels: LabelsSchema.optional().describe('free words of the operator; zone: the zone of the node'),
  room: z
    .object({ reservableBytes: z.number(), freeBytes: z.number(), idleBytes: z.number() })
    .optional()
    .describe('memory that awake apps may reserve together, what is free of it, and what idle apps would give back'),
  volumeSlots: z
    .object({ total: z.int().min(0), free: z.int().min(0), idle: z.int().min(0) })
    .optional()
    .describe('how many volumes may be attached at a time, how many more could be now, and how many idle apps have'),
  images: z
    .array(z.string().max(IMAGE_KEY_LENGTH))
    .max(MOST_IMAGES)
    .optional()
    .describe('the first characters of the ids of the newest images that the node has'),
  version: z
    .string()
    .regex(/^[\w.+-]{1,64}$/)
    .optional(),
  trouble: z.boolean().optional().describe('the node cannot serve apps now: overall of its health'),
  boot: z.string().max(64).optional().describe('which boot of its machine it is: random, by the kernel'),
  toLeave: z.int().min(0).optional().describe('how many instances have still to leave a node that drains'),
  volumeDrivers: z.array(VolumeDriverSchema).optional().describe('drivers whose volumes it can attach; left out: loop'),
}
/** What an admin wants of a node. */
export const CordonSchema = described<Cordon>(
  z.object({
    since: z.iso.datetime(),
    drain: z.object({ until: z.iso.datetime(), volumes: z.enum(VOLUMES_OF_DRAINED) }).optional(),
  }),
  'Cordon',
)
export const AnnounceSchema = z
  .strictObject({
    ...aboutNode,
    controlKey: z.string().min(16).describe('what masters show to the node'),
    at: z.iso.datetime().optional().describe('the time by the clock of the node'),
  })
  .meta({ id: 'Announcement' })
export const NodeSchema = described<Node>(
  z.object({
    name: NodeNameSchema,
    ...aboutNode,
    state: z.enum(NODE_STATES).default('healthy').describe('gone: has been silent for 20 s'),
    since: z.iso.datetime().optional(),
    cordon: CordonSchema.optional().describe('the node takes no apps that it does not have; with drain, none at all'),
    until: z.iso.datetime(),
    clockAheadMs: z
      .int()
      .optional()
      .describe('by how much its clock is ahead of that of the master; left out up to a minute'),
    member: z.string().optional().describe('the id of the node in the cluster; its certificate has it'),
  }),
  'Node',
)

export const PlacementSchema = z
  .object({
    node: NodeNameSchema.optional().describe('left out: no node can take it'),
    reason: z.enum(PLACEMENT_REASONS).optional().describe('the last rule that took other nodes out; hash: none did'),
    rejected: z.array(z.object({ node: NodeNameSchema, reason: z.enum(REJECTION_REASONS) })).readonly(),
  })
  .meta({ id: 'Placement' })

/** What a node tells fronts of an awake instance. */
export const InstanceLoadSchema = described<InstanceLoad>(
  z.object({
    instance: InstanceIdSchema,
    inFlight: z.int().min(0).describe('requests that came to the node for it and are not answered'),
    formers: z.array(z.int()).optional().describe('revisions of earlier releases that keep their sessions there'),
    cpu: z.number().optional().describe('share of its processors that it has used lately'),
  }),
  'InstanceLoad',
)
