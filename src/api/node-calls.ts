import { z } from 'zod'
import { admin, appParams, type Call, instanceParams, logQuery, volumeParams } from './call-shape.ts'
import type { nodePaths } from './paths.ts'
import {
  AppNameSchema,
  CheckedSchema,
  InstanceSchema,
  TaskSchema,
  VolumeDriverSchema,
  VolumeIdSchema,
  VolumeUseSchema,
} from './schemas.ts'

/**
 * The API of a node. `may`: `admin` is a caller with the node's key for control, which only masters have; `proxy` is a caller with the key
 * for traffic.
 */
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
    says: 'put an instance to sleep and wait until it is asleep',
    params: instanceParams,
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
  forgetInstance: {
    says: 'put an instance to sleep and forget it with its logs; the definition of its app stays',
    params: instanceParams,
    answer: 'nothing',
    may: admin,
  },
  forgetApp: {
    says: 'put all instances of an app to sleep and forget its definition and logs; its volume stays',
    params: appParams,
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
  listVolumes: {
    says: 'list the volumes of this node, with how full they are',
    answer: z.object({ items: z.array(VolumeUseSchema.extend({ id: VolumeIdSchema })) }),
    may: admin,
  },
  removeVolume: {
    says: 'delete the data of a volume that no app has; app=NAME: that app is being removed together with its volume; driver: left out: loop',
    params: volumeParams,
    query: z.strictObject({ app: AppNameSchema.optional(), driver: VolumeDriverSchema.optional() }),
    answer: 'nothing',
    may: admin,
  },
  sendVolume: {
    says: 'put the app to sleep and read the bytes of its volume, for a move; wakes wait until the stream is closed',
    params: volumeParams,
    query: z.strictObject({ app: AppNameSchema }),
    content: 'application/octet-stream',
    answer: 'stream',
    may: admin,
  },
  receiveVolume: {
    says: 'copy a volume from the node that has it, by the move that the master has begun, and take it over',
    params: volumeParams,
    body: z.strictObject({ move: z.string(), neededBytes: z.number() }),
    answer: 'nothing',
    may: admin,
  },
} satisfies Record<keyof typeof nodePaths, Call>
