import { z } from 'zod'
import { SESSION_END_KINDS } from '../model/session.ts'
import { nodeBackupCalls } from './backup-calls.ts'
import { nodeBuildCalls } from './build-calls.ts'
import { admin, appParams, type Call, instanceParams, volumeParams } from './call-shape.ts'
import { nodeExecCalls } from './exec-calls.ts'
import { nodeFileCalls } from './file-calls.ts'
import { nodeHistoryCalls } from './history-calls.ts'
import { InstanceSchema, PhaseSchema } from './instance-schemas.ts'
import { logQuery } from './log-query.ts'
import { InstanceLoadSchema } from './node-schemas.ts'
import { nodeSummaryCalls } from './node-summary-calls.ts'
import { nodeVolumeCalls } from './node-volume-calls.ts'
import type { nodePaths } from './paths.ts'
import { rolloutQuery } from './rollout-calls.ts'
import { RunResultSchema, ScheduledRunSchema } from './schedule-schemas.ts'
import {
  AppNameSchema,
  CheckedSchema,
  MoveProgressSchema,
  TaskSchema,
  VolumeDriverSchema,
  VolumeIdSchema,
  VolumeUseSchema,
} from './schemas.ts'
import { nodeStatsCalls } from './stats-calls.ts'
import { nodeTcpCalls } from './tcp-calls.ts'
import { SleepTierSchema } from './wake-schemas.ts'

/**
 * The API of a node. `may`: `admin` is a caller with the node's key for control, which only masters have; `proxy` is a caller with the key
 * for traffic.
 */
const ofApp = z.iso
  .datetime()
  .optional()
  .describe('when the app was registered that is meant: a later one is left alone')

export const nodeCalls = {
  health: {
    says: 'check the node; true means trouble. overall: something is very wrong; overloaded: CPU load above all cores, or memory above 80 %; container_backend: Docker does not answer. app_networks: the networks of the apps',
    answer: z.object({
      overall: z.boolean(),
      overloaded: z.boolean(),
      container_backend: z.boolean(),
      cpu_utilization: z.number(),
      memory_utilization: z.number(),
      app_networks: z.array(z.string()).readonly().default([]),
    }),
    may: 'anyone',
  },
  announceNow: {
    says: 'let the node announce itself at once, so that it hears of its cordon; answers when that is done',
    answer: 'nothing',
    may: admin,
  },
  listInstances: {
    says: 'list the instances of this node',
    answer: z.object({ items: z.array(InstanceSchema) }),
    may: admin,
  },
  getInstance: { says: 'read an instance', params: instanceParams, answer: InstanceSchema, may: admin },
  wakeInstance: {
    says: 'wake an app and wait until it is ready',
    params: instanceParams,
    answer: InstanceSchema,
    may: admin,
  },
  sleepInstance: {
    says: 'put an instance to sleep and wait until it is asleep; hard: at once, without drain and grace',
    params: instanceParams,
    query: z.strictObject({
      kind: z.enum(SESSION_END_KINDS).default('soft'),
      to: SleepTierSchema,
      createdAt: z.iso.datetime().optional().describe('only the session that was made then'),
    }),
    answer: InstanceSchema,
    may: admin,
  },
  checkInstance: {
    says: 'check whether a definition can run, if the instance is awake, and which image it names; changes nothing',
    params: instanceParams,
    body: TaskSchema,
    answer: CheckedSchema,
    may: admin,
  },
  keepInstance: {
    says: 'wake an instance, wait until it is ready, and keep it awake for forMs milliseconds from then on',
    params: instanceParams,
    body: z.strictObject({
      forMs: z.int().min(1_000).max(600_000),
      why: z.string().max(200).describe('for shadow why'),
    }),
    answer: PhaseSchema,
    may: ['admin', 'proxy'],
  },
  runScheduled: {
    says: 'do what a schedule says with an instance: wake it, send it a request, and keep it awake until that is done',
    params: instanceParams,
    body: ScheduledRunSchema,
    answer: RunResultSchema,
    may: admin,
  },
  listLoads: {
    says: 'list the awake instances of apps that may have several, with their requests in flight',
    answer: z.object({ items: z.array(InstanceLoadSchema) }),
    may: ['admin', 'proxy'],
  },
  forgetInstance: {
    says: 'put an instance to sleep and forget it with its logs; the definition of its app stays',
    params: instanceParams,
    answer: 'nothing',
    may: admin,
  },
  forgetApp: {
    says: 'put all instances of an app to sleep and forget its definition and logs; its volume stays',
    params: appParams,
    query: z.strictObject({ createdAt: ofApp }),
    answer: 'nothing',
    may: admin,
  },
  instanceLogs: {
    says: 'read log lines as NDJSON, oldest first',
    params: instanceParams,
    query: logQuery,
    answer: 'stream',
    may: admin,
  },
  followInstance: {
    says: 'follow an instance: server-sent events with app and phase, at each change of phase or step',
    params: instanceParams,
    answer: 'stream',
    may: ['admin', 'proxy'],
  },
  followRollout: {
    says: 'wait until an instance runs a revision, or rejected it; NDJSON as in the call of the master',
    params: instanceParams,
    query: rolloutQuery,
    answer: 'stream',
    may: admin,
  },
  listVolumes: {
    says: 'list the volumes of this node, with how full they are',
    answer: z.object({ items: z.array(VolumeUseSchema.extend({ id: VolumeIdSchema })) }),
    may: admin,
  },
  removeVolume: {
    says: 'delete the data of a volume that no app has; app=NAME: that app is being removed together with its volume; driver: left out: loop',
    params: volumeParams,
    query: z.strictObject({
      app: AppNameSchema.optional(),
      createdAt: ofApp,
      driver: VolumeDriverSchema.optional(),
    }),
    answer: 'nothing',
    may: admin,
  },
  sendVolume: {
    says: 'read the bytes of a volume, for a move: while its app serves, then again what has changed; for the last pass the app is put to sleep, and wakes wait until the stream is closed',
    params: volumeParams,
    query: z.strictObject({ app: AppNameSchema }),
    content: 'application/octet-stream',
    answer: 'stream',
    may: admin,
  },
  receiveVolume: {
    says: 'copy a volume from the node that has it, by the move that the master has begun, and take it over',
    params: volumeParams,
    body: z.strictObject({ move: z.string(), neededBytes: z.number(), sizeBytes: z.number() }),
    answer: z.object({ receivedBytes: z.number(), heldMs: z.number() }),
    may: admin,
  },
  getVolumeMove: {
    says: 'how far the move of a volume is that this node sends; null: it sends none',
    params: volumeParams,
    answer: z.object({ move: MoveProgressSchema.nullable() }),
    may: admin,
  },
  exportVolume: {
    says: 'read a copy of a volume, as a sparse file of GNU tar and its SHA-256; x-shadow-size has the size of the volume, x-shadow-length how many bytes come; the app sleeps while the copy is finished; 204 if there is no data yet',
    params: volumeParams,
    query: z.strictObject({ app: AppNameSchema }),
    content: 'application/octet-stream',
    answer: 'stream',
    may: admin,
  },
  importVolume: {
    says: 'write a volume from such a copy, by the import that the master has begun, and take it over',
    params: volumeParams,
    query: z.strictObject({
      move: z.string(),
      driver: VolumeDriverSchema.optional(),
      size: z.coerce.number().int().min(0),
      bytes: z.coerce.number().int().min(0),
    }),
    content: 'application/octet-stream',
    answer: 'nothing',
    may: admin,
  },
  ...nodeVolumeCalls,
  ...nodeBuildCalls,
  ...nodeFileCalls,
  ...nodeBackupCalls,
  ...nodeExecCalls,
  ...nodeTcpCalls,
  ...nodeStatsCalls,
  ...nodeHistoryCalls,
  ...nodeSummaryCalls,
} satisfies Record<keyof typeof nodePaths, Call>
