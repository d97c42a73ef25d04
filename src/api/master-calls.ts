import { z } from 'zod'
import { MEMBER_ROLES } from '../model/member.ts'
import { VOLUMES_OF_DRAINED } from '../model/node-state.ts'
import { duration } from '../model/quantities.ts'
import { backupCalls } from './backup-calls.ts'
import { budgetCalls } from './budget-calls.ts'
import { buildCalls } from './build-calls.ts'
import { admin, appParams, type Call, flag, shown, volumeParams } from './call-shape.ts'
import { certificateCalls } from './certificate-calls.ts'
import { dashboardCalls } from './dashboard-calls.ts'
import { dnsCalls } from './dns-calls.ts'
import { domainCalls } from './domain-calls.ts'
import { execCalls } from './exec-calls.ts'
import { fileCalls } from './file-calls.ts'
import { fleetCalls } from './fleet-calls.ts'
import { historyCalls } from './history-calls.ts'
import { imageCalls } from './image-calls.ts'
import { InstanceSchema } from './instance-schemas.ts'
import { keyCalls } from './key-calls.ts'
import { logQuery } from './log-query.ts'
import { NoteSchema } from './made-schema.ts'
import { MemberSchema } from './member-schema.ts'
import { AnnounceSchema, CordonSchema, NodeSchema, PlacementSchema } from './node-schemas.ts'
import { noticeCalls } from './notice-calls.ts'
import { overviewCalls } from './overview-calls.ts'
import type { masterPaths } from './paths.ts'
import { pauseCalls } from './pause-calls.ts'
import { releaseCalls } from './release-calls.ts'
import { rolloutCalls } from './rollout-calls.ts'
import { ScaleSchema } from './scale-schema.ts'
import { scheduleCalls } from './schedule-calls.ts'
import {
  AccessSchema,
  AppNameSchema,
  AppSchema,
  DigestSchema,
  DurationSchema,
  HostnameSchema,
  MoveProgressSchema,
  NodeNameSchema,
  PatchSchema,
  RegisterSchema,
  ReplaceSchema,
  RouteSchema,
  SizeSchema,
  VolumeDriverSchema,
  VolumeSchema,
} from './schemas.ts'
import { sessionCalls } from './session-calls.ts'
import { statsCalls } from './stats-calls.ts'
import { tcpCalls } from './tcp-calls.ts'
import { terminalCalls } from './terminal-calls.ts'
import { tokenCalls } from './token-calls.ts'
import { usageCalls } from './usage-calls.ts'
import { volumeCalls } from './volume-calls.ts'
import { wakeCalls } from './wake-calls.ts'
import { SleepTierSchema } from './wake-schemas.ts'

const node = z.strictObject({ node: NodeNameSchema })
const blob = z.strictObject({ digest: DigestSchema })
const paging = { after: z.string().optional(), limit: z.coerce.number().int().min(1).max(1000).default(500) }
const page = <T>(item: z.ZodType<T>) => z.object({ items: z.array(item), next: z.string().nullable() })
/** What makes the release, and what is said of it. */
const making = { by: z.enum(['update', 'deploy']).default('update'), note: NoteSchema.optional() }

export const masterCalls = {
  health: {
    says: 'whether the master and its storage answer',
    answer: z.object({ ok: z.boolean(), storage: z.string() }),
    may: 'anyone',
  },
  ...rolloutCalls,
  ...noticeCalls,
  registerApp: {
    says: 'register an app',
    query: z.strictObject({
      by: z.enum(['register', 'deploy']).default('register'),
      note: NoteSchema.optional(),
      ...shown,
    }),
    body: RegisterSchema,
    answer: AppSchema,
    status: 201,
    may: admin,
  },
  listApps: {
    says: 'list apps by name; without sessions a page may have less than limit',
    query: z.strictObject({
      ...paging,
      ...shown,
      sessions: z.enum(['with', 'without']).default('with').describe('whether sessions of templates are listed'),
    }),
    answer: page(AppSchema),
    may: admin,
  },
  getApp: {
    says: 'read an app; ETag, If-None-Match',
    params: appParams,
    query: z.strictObject(shown),
    answer: AppSchema,
    may: ['admin', 'node'],
  },
  replaceApp: {
    says: 'make a new revision from a whole definition; If-Match',
    params: appParams,
    query: z.strictObject({ ...making, ...shown }),
    body: ReplaceSchema,
    answer: AppSchema,
    may: admin,
  },
  updateApp: {
    says: 'make a new revision by a JSON merge patch; If-Match; with strict=true fails with not-found if a variable to be removed is not there',
    params: appParams,
    query: z.strictObject({ strict: flag, ...making, ...shown }),
    body: PatchSchema,
    answer: AppSchema,
    may: admin,
  },
  removeApp: {
    says: 'remove an app; its volume stays unless withVolume',
    params: appParams,
    query: z.strictObject({ withVolume: flag }),
    answer: 'nothing',
    may: admin,
  },
  setAccess: {
    says: 'replace the access rules of an app; makes no revision and restarts nothing; If-Match',
    params: appParams,
    query: z.strictObject(shown),
    body: AccessSchema,
    answer: AppSchema,
    may: admin,
  },
  setScale: {
    says: 'replace the rules by which the app gets several instances; makes no revision and restarts nothing; If-Match',
    params: appParams,
    query: z.strictObject(shown),
    body: ScaleSchema,
    answer: AppSchema,
    may: admin,
  },
  getHost: {
    says: 'read the route of the app that has this hostname; ETag, If-None-Match',
    params: z.strictObject({ hostname: HostnameSchema }),
    answer: RouteSchema,
    may: ['admin', 'proxy'],
  },
  listKept: {
    says: 'list the routes of the apps of which at least one instance is kept awake (scale.min), and of those with TCP ports',
    answer: z.object({ items: z.array(RouteSchema) }),
    may: ['admin', 'proxy'],
  },
  listVolumes: {
    says: 'list volumes by name, with how full they are if their node answers',
    query: z.strictObject(paging),
    answer: page(VolumeSchema),
    may: admin,
  },
  getVolume: {
    says: 'read a volume; with use=true also how full it is, if its node answers',
    params: volumeParams,
    query: z.strictObject({ use: flag }),
    answer: VolumeSchema,
    may: admin,
  },
  removeVolume: {
    says: 'delete a volume that no app has, and its data',
    params: volumeParams,
    answer: 'nothing',
    may: admin,
  },
  leaseVolume: {
    says: 'lease a volume to a node, for forMs milliseconds or until the lease is released; with epoch, renew the lease that has this epoch; fails with volume-elsewhere if another node holds it, and with volume-not-here if the node has it on another disk than before; a token of the role node leases for its own node only',
    params: volumeParams,
    body: z.strictObject({
      node: NodeNameSchema,
      forMs: z.int().min(1_000).max(3_600_000).optional(),
      epoch: z.int().optional(),
      driver: VolumeDriverSchema.optional().describe('the driver that the node has for the volume; left out: loop'),
      zone: z.string().min(1).max(63).optional().describe('the zone in which that driver makes and attaches volumes'),
      disk: z
        .string()
        .min(16)
        .max(64)
        .optional()
        .describe('the id of the disk on which the node keeps a volume whose lease does not expire'),
      boot: z.string().max(64).optional().describe('which boot of its machine the node is'),
    }),
    answer: VolumeSchema,
    may: ['admin', 'node'],
  },
  releaseVolume: {
    says: 'release the lease that has this epoch',
    params: volumeParams,
    query: z.strictObject({ node: NodeNameSchema, epoch: z.coerce.number().int() }),
    answer: 'nothing',
    may: ['admin', 'node'],
  },
  readMovedVolume: {
    says: 'read the bytes of a volume that this move brings to the node, as sendVolume of the node that has it; the app sleeps from the last pass until the stream is closed',
    params: volumeParams,
    query: z.strictObject({ node: NodeNameSchema, move: z.string() }),
    content: 'application/octet-stream',
    answer: 'stream',
    may: ['admin', 'node'],
  },
  takeMovedVolume: {
    says: 'pass the lease of the volume on to the node that this move has brought it to; fails with changed if the move was called off',
    params: volumeParams,
    body: z.strictObject({ node: NodeNameSchema, move: z.string() }),
    answer: 'nothing',
    may: ['admin', 'node'],
  },
  checkMovedVolume: {
    says: 'check that this move or import to the node is still under way; fails with changed if it was called off',
    params: volumeParams,
    query: z.strictObject({ node: NodeNameSchema, move: z.string() }),
    answer: 'nothing',
    may: ['admin', 'node'],
  },
  listNodes: {
    says: 'list nodes, those that are gone too; with their traffic keys for the role proxy only',
    answer: z.object({ items: z.array(NodeSchema) }),
    may: ['admin', 'proxy'],
  },
  cordonNode: {
    says: 'let a node take no app that it does not have; a node that drains drains on',
    params: node,
    answer: NodeSchema,
    may: admin,
  },
  uncordonNode: { says: 'let a node take apps again; ends its drain', params: node, answer: NodeSchema, may: admin },
  drainNode: {
    says: 'let a node take no apps, and its apps leave it: asleep ones as they are, awake ones when nobody uses them, or at the deadline; fails with volumes-stay if volumes are on the disk of the node and volumes is refuse; keep: those apps are served on, stop: they sleep until the node is uncordoned; a node may drain itself',
    params: node,
    body: z.strictObject({
      deadline: DurationSchema.default(duration('5m')),
      volumes: z.enum(['refuse', ...VOLUMES_OF_DRAINED]).default('refuse'),
    }),
    answer: NodeSchema,
    may: ['admin', 'node'],
  },
  removeNode: {
    says: 'remove a node, and revoke its tokens and certificates; fails with node-in-use if it takes apps, or apps or volumes are on it; lost=true: the machine is gone for good, and the volumes on its disk with it; dryRun=true changes nothing',
    params: node,
    query: z.strictObject({ lost: flag, dryRun: flag }),
    answer: z.object({
      removed: z.boolean(),
      lost: z.array(VolumeSchema).describe('volumes on the disk of the node'),
      free: z.array(VolumeSchema).describe('volumes that other nodes take over when the lease has ended'),
    }),
    may: admin,
  },
  announceNode: {
    says: 'announce a node, which gets its cordon for an answer, and the ids of former members of the cluster, whose certificates open nothing any more; a token or certificate of the role node announces its own node only',
    params: node,
    body: AnnounceSchema,
    answer: z.object({
      cordon: CordonSchema.nullable(),
      drainWithinMs: z.number().optional().describe('how long apps in use may still go on; set while the node drains'),
      revoked: z.array(z.string()).optional().describe('ids of former members of the cluster'),
      clockAheadMs: z.int().optional().describe('by how much the clock of the node is ahead; left out up to a minute'),
    }),
    may: ['admin', 'node'],
  },
  listInstances: {
    says: 'list the instances of all nodes, and the nodes that did not answer',
    answer: z.object({ items: z.array(InstanceSchema), silent: z.array(NodeNameSchema) }),
    may: admin,
  },
  getInstance: {
    says: 'read the instance of an app from its node',
    params: appParams,
    answer: InstanceSchema,
    may: admin,
  },
  getPlacement: {
    says: 'find out on which node the next wake of an app would be, and why; a front may have pinned it to another one',
    params: appParams,
    answer: PlacementSchema,
    may: admin,
  },
  wakeApp: { says: 'wake an app and wait until it is ready', params: appParams, answer: InstanceSchema, may: admin },
  sleepApp: {
    says: 'put an app to sleep and wait until it is asleep; frozen: its processes stop where they are until the next request; suspended: besides, its memory goes to the swap of its machine; both fail with app-in-use while somebody uses it; parked: it is asleep, and a container waits for its next wake, or the call fails with not-parkable',
    params: appParams,
    query: z.strictObject({ to: SleepTierSchema }),
    answer: InstanceSchema,
    may: admin,
  },
  moveApp: {
    says: 'move an app with its volume, which is on the disk of a node, to another node, and wait until it is there; the app serves while its volume is copied, then sleeps for the last part, for which its requests wait; moved: false if it is there already, or has no data yet; fails with volume-in-use if it is being moved already',
    params: appParams,
    body: z.strictObject({ to: NodeNameSchema }),
    answer: z.object({
      app: AppNameSchema,
      from: NodeNameSchema.nullable(),
      to: NodeNameSchema,
      moved: z.boolean(),
      onDiskBytes: z.number().optional().describe('how much the volume has on disk'),
      copiedBytes: z.number().optional().describe('how much was sent, with what changed meanwhile'),
      heldMs: z.number().optional().describe('for how long the app could not serve'),
    }),
    may: admin,
  },
  getMove: {
    says: 'how far the move of an app is; null if none is under way',
    params: appParams,
    answer: z.object({
      move: z.object({ ...MoveProgressSchema.shape, from: NodeNameSchema, to: NodeNameSchema }).nullable(),
    }),
    may: admin,
  },
  getDefinition: {
    says: 'read an app as a body of registerApp that makes the same app, with the values of its environment and of its secrets; domains are left out if they follow from its name',
    params: appParams,
    answer: z.record(z.string(), z.unknown()),
    may: admin,
  },
  exportVolume: {
    says: 'read a copy of the volume of an app, as a sparse file of GNU tar (format 1.0) and its SHA-256; x-shadow-size has the size of the volume, x-shadow-length how many bytes come; the app serves while it is copied, and sleeps while the copy is finished; 204 if there is no data yet; fails with bad-input for a volume of the driver ebs',
    params: appParams,
    content: 'application/octet-stream',
    answer: 'stream',
    may: admin,
  },
  importVolume: {
    says: 'make a volume, which no app has yet, from such a copy: volume is its size for people, size that of the copy, bytes how much data it has; node: where it will be, else the master chooses; fails with already-exists if there is a volume or an app of this name. Nothing is made before the SHA-256 at the end has come',
    params: volumeParams,
    query: z.strictObject({
      volume: SizeSchema,
      driver: z.enum(['loop', 'pool']).default('loop'),
      size: z.coerce.number().int().min(0),
      bytes: z.coerce.number().int().min(0),
      node: NodeNameSchema.optional(),
    }),
    content: 'application/octet-stream',
    answer: 'nothing',
    may: admin,
  },
  appLogs: {
    says: 'read log lines as NDJSON, oldest first; of an app that may have several instances the lines of all of them, over all nodes, each with its instance',
    params: appParams,
    query: logQuery,
    answer: 'stream',
    may: admin,
  },
  putBlob: {
    says: 'store the body as a blob named by its SHA-256 digest, which is verified; a blob that is there is left as it is; fails with too-large if it is larger than SHADOW_BLOB_LIMIT',
    params: blob,
    content: 'application/octet-stream',
    answer: 'nothing',
    may: admin,
  },
  // Before getBlob: express answers HEAD with the first route that has the path.
  headBlob: {
    says: 'check whether a blob exists, and its size',
    params: blob,
    answer: 'stream',
    may: admin,
  },
  getBlob: {
    says: 'read a blob; Range',
    params: blob,
    content: 'application/octet-stream',
    answer: 'stream',
    may: admin,
  },
  changes: {
    says: 'follow changes: server-sent events, one for each app that changed',
    answer: 'stream',
    may: ['admin', 'node', 'proxy'],
  },
  getCluster: {
    says: 'read the certificate of the CA of the cluster, and the URL of its masters; fails with not-found if there is no cluster',
    answer: z.object({ ca: z.string(), url: z.string(), createdAt: z.iso.datetime() }),
    may: 'anyone',
  },
  createJoinToken: {
    says: 'make a token with which one machine may join the cluster once, by this name; it is shown only this once',
    body: z.strictObject({
      role: z.enum(MEMBER_ROLES),
      name: NodeNameSchema,
      forMs: z
        .int()
        .min(1_000)
        .max(7 * 86_400_000)
        .default(3_600_000),
    }),
    answer: z.object({ token: z.string(), until: z.iso.datetime() }),
    status: 201,
    may: admin,
  },
  joinCluster: {
    says: 'exchange a token of createJoinToken for a certificate; at is the time by the caller, whose clock must be right; the same request may be sent again',
    body: z.strictObject({
      secret: z.string(),
      role: z.enum(MEMBER_ROLES),
      request: z.string().max(10_000),
      at: z.iso.datetime(),
    }),
    answer: z.object({ ...MemberSchema.shape, certificate: z.string() }),
    status: 201,
    may: 'anyone',
  },
  renewCertificate: {
    says: 'get the next certificate; the caller shows the one that it has',
    body: z.strictObject({ request: z.string().max(10_000) }),
    answer: z.object({ certificate: z.string() }),
    may: ['node', 'proxy'],
  },
  listMembers: {
    says: 'list the machines that have joined the cluster',
    answer: z.object({ items: z.array(MemberSchema) }),
    may: admin,
  },
  removeMember: {
    says: 'remove a machine from the cluster: its certificate opens nothing any more',
    params: z.strictObject({ role: z.enum(MEMBER_ROLES), name: NodeNameSchema }),
    answer: 'nothing',
    may: admin,
  },
  ...fleetCalls,
  ...volumeCalls,
  ...wakeCalls,
  ...pauseCalls,
  ...execCalls,
  ...tcpCalls,
  ...domainCalls,
  ...certificateCalls,
  ...dnsCalls,
  ...buildCalls,
  ...fileCalls,
  ...imageCalls,
  ...releaseCalls,
  ...backupCalls,
  ...scheduleCalls,
  ...sessionCalls,
  ...terminalCalls,
  ...statsCalls,
  ...keyCalls,
  ...historyCalls,
  ...usageCalls,
  ...tokenCalls,
  ...budgetCalls,
  ...dashboardCalls,
  ...overviewCalls,
} satisfies Record<keyof typeof masterPaths, Call>

/** One event of `GET /v1/changes`. `revision` null: the app was removed. */
export type Change = { readonly app: string; readonly revision: number | null; readonly domains: readonly string[] }
