import { z } from 'zod'
import { isNodeName } from '../model/names.ts'
import type { masterPaths, nodePaths } from './paths.ts'
import {
  AccessSchema,
  AnnounceSchema,
  AppNameSchema,
  AppSchema,
  CheckedSchema,
  HostnameSchema,
  InstanceSchema,
  NodeNameSchema,
  NodeSchema,
  PatchSchema,
  RegisterSchema,
  ReplaceSchema,
  RouteSchema,
  TaskSchema,
  VolumeIdSchema,
  VolumeSchema,
  VolumeUseSchema,
} from './schemas.ts'

/** One call: what it takes and gives, who may make it. `answer: "stream"` is NDJSON or server-sent events, not JSON. */
type Route = {
  readonly says: string
  readonly params?: z.ZodObject
  readonly query?: z.ZodObject
  readonly body?: z.ZodType
  readonly answer: z.ZodType | 'stream' | 'nothing'
  readonly status?: number
  readonly may: readonly Role[] | 'anyone'
}

export const ROLES = ['admin', 'node', 'proxy'] as const
export type Role = (typeof ROLES)[number]

const admin = ['admin'] as const
const all = ROLES
const app = z.strictObject({ app: AppNameSchema })
const volume = z.strictObject({ volume: VolumeIdSchema })
const paging = { after: z.string().optional(), limit: z.coerce.number().int().min(1).max(1000).default(500) }
/** A token of the role node is bound to its name, so that must be a node's. */
const TokenInput = z
  .strictObject({ name: z.string().min(1).max(100), role: z.enum(ROLES) })
  .superRefine(({ name, role }, context) => {
    if (role !== 'node' || isNodeName(name)) return
    const message =
      'must be the name of the node (SHADOW_NODE_NAME), a DNS label: the token is good for that node alone'
    context.addIssue({ code: 'custom', path: ['name'], message })
  })
const page = <T>(item: z.ZodType<T>) => z.object({ items: z.array(item), next: z.string().nullable() })
const flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform(value => value === 'true')
/** Whether the values of environments are told, or digests in their place: for answers that are printed or logged. */
const shown = { env: z.enum(['values', 'digests']).default('values') }
const logQuery = z.strictObject({ follow: flag, tail: z.coerce.number().int().min(0).max(100_000).default(200) })

export const masterRoutes = {
  health: {
    says: 'whether the master and its storage answer',
    answer: z.object({ ok: z.boolean(), storage: z.string() }),
    may: 'anyone',
  },
  registerApp: {
    says: 'register an app',
    query: z.strictObject(shown),
    body: RegisterSchema,
    answer: AppSchema,
    status: 201,
    may: admin,
  },
  listApps: {
    says: 'apps by name',
    query: z.strictObject({ ...paging, ...shown }),
    answer: page(AppSchema),
    may: admin,
  },
  getApp: {
    says: 'one app; ETag, If-None-Match',
    params: app,
    query: z.strictObject(shown),
    answer: AppSchema,
    may: ['admin', 'node'],
  },
  replaceApp: {
    says: 'make a new revision from a whole definition; If-Match',
    params: app,
    query: z.strictObject(shown),
    body: ReplaceSchema,
    answer: AppSchema,
    may: admin,
  },
  updateApp: {
    says: 'make a new revision by a JSON merge patch; If-Match; strict: not-found where a variable to be removed is not there',
    params: app,
    query: z.strictObject({ strict: flag, ...shown }),
    body: PatchSchema,
    answer: AppSchema,
    may: admin,
  },
  removeApp: {
    says: 'remove an app; its volume stays unless withVolume',
    params: app,
    query: z.strictObject({ withVolume: flag }),
    answer: 'nothing',
    may: admin,
  },
  setAccess: {
    says: 'say anew who may use an app, and how much; makes no revision and restarts nothing; If-Match',
    params: app,
    query: z.strictObject(shown),
    body: AccessSchema,
    answer: AppSchema,
    may: admin,
  },
  listTasks: {
    says: 'the revisions of an app, newest first',
    params: app,
    query: z.strictObject(shown),
    answer: z.object({ items: z.array(TaskSchema) }),
    may: admin,
  },
  getTask: {
    says: 'one revision',
    params: app.extend({ revision: z.coerce.number().int().min(1) }),
    query: z.strictObject(shown),
    answer: TaskSchema,
    may: admin,
  },
  getHost: {
    says: 'what a front needs of the app that has this hostname; ETag, If-None-Match',
    params: z.strictObject({ hostname: HostnameSchema }),
    answer: RouteSchema,
    may: ['admin', 'proxy'],
  },
  listVolumes: {
    says: 'volumes by name, with how full they are where their node answers',
    query: z.strictObject(paging),
    answer: page(VolumeSchema),
    may: admin,
  },
  getVolume: { says: 'one volume', params: volume, answer: VolumeSchema, may: admin },
  removeVolume: {
    says: 'delete a volume that no app has, and its data',
    params: volume,
    answer: 'nothing',
    may: admin,
  },
  leaseVolume: {
    says: 'take the volume for a node, which a token of the role node does for its own alone; volume-elsewhere where another holds it',
    params: volume,
    body: z.strictObject({ node: NodeNameSchema }),
    answer: VolumeSchema,
    may: ['admin', 'node'],
  },
  releaseVolume: {
    says: 'give a lease up',
    params: volume,
    query: z.strictObject({ node: NodeNameSchema, epoch: z.coerce.number().int() }),
    answer: 'nothing',
    may: ['admin', 'node'],
  },
  listNodes: {
    says: 'nodes that spoke lately; their keys for traffic only for the role proxy',
    answer: z.object({ items: z.array(NodeSchema) }),
    may: ['admin', 'proxy'],
  },
  announceNode: {
    says: 'a node speaks; a token of the role node does so for its own node alone',
    params: z.strictObject({ node: NodeNameSchema }),
    body: AnnounceSchema,
    answer: 'nothing',
    may: ['admin', 'node'],
  },
  createToken: {
    says: 'make a token; it is shown this once',
    body: TokenInput,
    answer: z.object({ id: z.string(), token: z.string() }),
    status: 201,
    may: admin,
  },
  listTokens: {
    says: 'tokens, without their secrets',
    answer: z.object({
      items: z.array(z.object({ id: z.string(), name: z.string(), role: z.enum(ROLES), createdAt: z.iso.datetime() })),
    }),
    may: admin,
  },
  removeToken: { says: 'revoke a token', params: z.strictObject({ token: z.string() }), answer: 'nothing', may: admin },
  listInstances: {
    says: 'what every node has, with the nodes that did not answer',
    answer: z.object({ items: z.array(InstanceSchema), silent: z.array(NodeNameSchema) }),
    may: admin,
  },
  getInstance: { says: 'the instance of an app, asked of its node', params: app, answer: InstanceSchema, may: admin },
  wakeApp: { says: 'wake an app and wait until it is ready', params: app, answer: InstanceSchema, may: admin },
  sleepApp: { says: 'put an app to sleep now and wait until it is', params: app, answer: InstanceSchema, may: admin },
  appLogs: { says: 'log lines as NDJSON, oldest first', params: app, query: logQuery, answer: 'stream', may: admin },
  changes: { says: 'server-sent events: each app that changed', answer: 'stream', may: all },
} satisfies Record<keyof typeof masterPaths, Route>

/** The API of a node. `may`: `admin` is whoever shows the node's key for control, which only masters have; `proxy` the key for traffic. */
export const nodeRoutes = {
  health: {
    says: 'every true means trouble: overall, that something is very wrong; overloaded, CPU load over all cores or memory over 80 %; container_backend, that Docker does not answer; app_networks are those of the apps',
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
  listInstances: { says: 'all instances here', answer: z.object({ items: z.array(InstanceSchema) }), may: admin },
  getInstance: { says: 'one instance', params: app, answer: InstanceSchema, may: admin },
  wakeInstance: { says: 'wake and wait until ready', params: app, answer: InstanceSchema, may: admin },
  sleepInstance: { says: 'put to sleep and wait until it is', params: app, answer: InstanceSchema, may: admin },
  checkInstance: {
    says: 'look whether a definition can be run, where the app is awake, and which image it names; changes nothing',
    params: app,
    body: TaskSchema,
    answer: CheckedSchema,
    may: admin,
  },
  forgetInstance: {
    says: 'put to sleep and forget its definition and logs; its volume stays',
    params: app,
    answer: 'nothing',
    may: admin,
  },
  instanceLogs: {
    says: 'log lines as NDJSON, oldest first',
    params: app,
    query: logQuery,
    answer: 'stream',
    may: admin,
  },
  followInstance: {
    says: 'server-sent events: app and phase, at each change of its phase or step',
    params: app,
    answer: 'stream',
    may: ['admin', 'proxy'],
  },
  listVolumes: {
    says: 'volumes that this node has, with how full they are',
    answer: z.object({ items: z.array(VolumeUseSchema.extend({ id: VolumeIdSchema })) }),
    may: admin,
  },
  removeVolume: {
    says: 'delete the data of a volume that no app has; app: one that is being removed together with the volume',
    params: volume,
    query: z.strictObject({ app: AppNameSchema.optional() }),
    answer: 'nothing',
    may: admin,
  },
} satisfies Record<keyof typeof nodePaths, Route>

/** One event of `GET /v1/changes`. `revision` null: the app was removed. */
export type Change = { readonly app: string; readonly revision: number | null; readonly domains: readonly string[] }

export type Routes = Readonly<Record<string, Route>>
type In<T> = T extends z.ZodType ? z.input<T> : never
type Out<T> = T extends z.ZodType ? z.output<T> : undefined

/** What the caller gives for a call. */
export type CallInput<R> = (R extends { params: infer P } ? { params: In<P> } : { params?: undefined }) &
  (R extends { query: infer Q } ? { query?: In<Q> } : { query?: undefined }) &
  (R extends { body: infer B } ? { body: In<B> } : { body?: undefined })

/** What the handler gets, parsed. */
export type HandlerInput<R> = (R extends { params: infer P } ? { params: Out<P> } : unknown) &
  (R extends { query: infer Q } ? { query: Out<Q> } : unknown) &
  (R extends { body: infer B } ? { body: Out<B> } : unknown)

/** What a call gives back. */
export type CallAnswer<R> = R extends { answer: infer A } ? Out<A> : never
