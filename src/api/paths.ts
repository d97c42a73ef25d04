import { backupPaths, nodeBackupPaths } from './backup-paths.ts'
import { certificatePaths } from './certificate-paths.ts'
import { dashboardPaths } from './dashboard-paths.ts'
import { dnsPaths } from './dns-paths.ts'
import { domainPaths } from './domain-paths.ts'
import { filePaths, nodeFilePaths } from './file-paths.ts'
import { historyPaths, nodeHistoryPaths } from './history-paths.ts'
import { noticePaths } from './notice-paths.ts'
import { overviewPaths } from './overview-paths.ts'
import { usagePaths } from './usage-paths.ts'
import { nodeVolumePaths, volumePaths } from './volume-paths.ts'

/** Every call of the master's API, by name: its method and path. Plain data, so that the CLI loads no schema to make a call. */
export const masterPaths = {
  health: 'GET /v1/health',
  registerApp: 'POST /v1/apps',
  listApps: 'GET /v1/apps',
  getApp: 'GET /v1/apps/:app',
  replaceApp: 'PUT /v1/apps/:app',
  updateApp: 'PATCH /v1/apps/:app',
  removeApp: 'DELETE /v1/apps/:app',
  setAccess: 'PUT /v1/apps/:app/access',
  setScale: 'PUT /v1/apps/:app/scale',
  setWakeRules: 'PUT /v1/apps/:app/wake-rules',
  setPages: 'PUT /v1/apps/:app/pages',
  setTemplate: 'PUT /v1/apps/:app/template',
  connectSession: 'POST /v1/connect',
  listSessions: 'GET /v1/sessions',
  getSession: 'GET /v1/sessions/:session',
  followSession: 'GET /v1/sessions/:session/status',
  endSession: 'DELETE /v1/sessions/:session',
  revokeTokens: 'POST /v1/apps/:app/revoke-tokens',
  sessionEnded: 'POST /v1/sessions/:session/ended',
  pauseApp: 'PUT /v1/apps/:app/pause',
  resumeApp: 'DELETE /v1/apps/:app/pause',
  setTcp: 'PUT /v1/apps/:app/tcp',
  getTcp: 'GET /v1/apps/:app/tcp',
  reportTcp: 'PUT /v1/fronts/:front/tcp',
  listReleases: 'GET /v1/apps/:app/releases',
  getRelease: 'GET /v1/apps/:app/releases/:revision',
  diffReleases: 'GET /v1/apps/:app/diff',
  rollbackApp: 'POST /v1/apps/:app/rollback',
  listNeeded: 'GET /v1/needed',
  neededImages: 'POST /v1/needed/images',
  listSecrets: 'GET /v1/apps/:app/secrets',
  changeSecrets: 'PATCH /v1/apps/:app/secrets',
  discardSecrets: 'DELETE /v1/apps/:app/secrets/staged',
  addSchedule: 'POST /v1/apps/:app/schedules',
  listSchedules: 'GET /v1/apps/:app/schedules',
  runSchedule: 'POST /v1/apps/:app/schedules/:schedule/runs',
  removeSchedule: 'DELETE /v1/apps/:app/schedules/:schedule',
  getHost: 'GET /v1/hosts/:hostname',
  listKept: 'GET /v1/kept',
  listVolumes: 'GET /v1/volumes',
  getVolume: 'GET /v1/volumes/:volume',
  removeVolume: 'DELETE /v1/volumes/:volume',
  leaseVolume: 'POST /v1/volumes/:volume/lease',
  releaseVolume: 'DELETE /v1/volumes/:volume/lease',
  readMovedVolume: 'GET /v1/volumes/:volume/image',
  takeMovedVolume: 'POST /v1/volumes/:volume/moved',
  checkMovedVolume: 'GET /v1/volumes/:volume/moved',
  listNodes: 'GET /v1/nodes',
  cordonNode: 'POST /v1/nodes/:node/cordon',
  uncordonNode: 'DELETE /v1/nodes/:node/cordon',
  drainNode: 'POST /v1/nodes/:node/drain',
  removeNode: 'DELETE /v1/nodes/:node',
  announceNode: 'PUT /v1/nodes/:node',
  createToken: 'POST /v1/tokens',
  addSshKey: 'POST /v1/keys',
  listSshKeys: 'GET /v1/keys',
  removeSshKey: 'DELETE /v1/keys/:key',
  listTokens: 'GET /v1/tokens',
  removeToken: 'DELETE /v1/tokens/:token',
  listInstances: 'GET /v1/instances',
  getInstance: 'GET /v1/apps/:app/instance',
  followRollout: 'POST /v1/apps/:app/rollout',
  getEndpoint: 'GET /v1/apps/:app/endpoint',
  getPlacement: 'GET /v1/apps/:app/placement',
  wakeApp: 'POST /v1/apps/:app/wake',
  sleepApp: 'POST /v1/apps/:app/sleep',
  moveApp: 'POST /v1/apps/:app/move',
  getMove: 'GET /v1/apps/:app/move',
  getDefinition: 'GET /v1/apps/:app/definition',
  exportVolume: 'GET /v1/apps/:app/volume',
  importVolume: 'PUT /v1/volumes/:volume/image',
  appLogs: 'GET /v1/apps/:app/logs',
  openSession: 'POST /v1/apps/:app/session',
  openTerminal: 'GET /v1/apps/:app/terminal',
  openExec: 'GET /v1/apps/:app/exec',
  listStats: 'GET /v1/stats',
  putBlob: 'PUT /v1/blobs/:digest',
  headBlob: 'HEAD /v1/blobs/:digest',
  getBlob: 'GET /v1/blobs/:digest',
  listImages: 'GET /v1/images',
  removeImage: 'DELETE /v1/images',
  pruneImages: 'POST /v1/images/prune',
  readImage: 'GET /v1/images/content/:part',
  changes: 'GET /v1/changes',
  getSource: 'GET /v1/apps/:app/sources/:digest',
  manifestSchema: 'GET /shadow.schema.json',
  buildImage: 'POST /v1/apps/:app/builds',
  loadImage: 'POST /v1/apps/:app/images',
  getCluster: 'GET /v1/cluster',
  createJoinToken: 'POST /v1/cluster/tokens',
  joinCluster: 'POST /v1/cluster/join',
  renewCertificate: 'POST /v1/cluster/certificate',
  listMembers: 'GET /v1/cluster/members',
  removeMember: 'DELETE /v1/cluster/members/:role/:name',
  getFleet: 'GET /v1/fleets/:fleet',
  allowFleet: 'PUT /v1/fleets/:fleet/fronts/:front',
  denyFleet: 'DELETE /v1/fleets/:fleet/fronts/:front',
  leaseFleet: 'POST /v1/fleets/:fleet/lease',
  releaseFleet: 'DELETE /v1/fleets/:fleet/lease',
  saveFleet: 'PUT /v1/fleets/:fleet/servers',
  createServerToken: 'POST /v1/fleets/:fleet/servers/:node/token',
  drainServer: 'POST /v1/fleets/:fleet/servers/:node/drain',
  undrainServer: 'DELETE /v1/fleets/:fleet/servers/:node/drain',
  removeServer: 'DELETE /v1/fleets/:fleet/servers/:node',
  ...volumePaths,
  ...filePaths,
  ...backupPaths,
  ...usagePaths,
  ...historyPaths,
  ...dashboardPaths,
  ...overviewPaths,
  ...domainPaths,
  ...certificatePaths,
  ...dnsPaths,
  ...noticePaths,
} as const

/** The method and path of every call of a node's API. `/server-health-check` needs no key. */
export const nodePaths = {
  health: 'GET /server-health-check',
  announceNow: 'POST /v1/announce',
  listInstances: 'GET /v1/instances',
  getInstance: 'GET /v1/instances/:instance',
  wakeInstance: 'POST /v1/instances/:instance/wake',
  sleepInstance: 'POST /v1/instances/:instance/sleep',
  checkInstance: 'POST /v1/instances/:instance/check',
  runScheduled: 'POST /v1/instances/:instance/run',
  keepInstance: 'POST /v1/instances/:instance/keep',
  listLoads: 'GET /v1/loads',
  forgetInstance: 'DELETE /v1/instances/:instance',
  forgetApp: 'DELETE /v1/apps/:app',
  instanceLogs: 'GET /v1/instances/:instance/logs',
  followInstance: 'GET /v1/instances/:instance/events',
  followRollout: 'POST /v1/instances/:instance/rollout',
  openSession: 'POST /v1/instances/:instance/session',
  openConnection: 'POST /v1/instances/:instance/connection',
  listStats: 'GET /v1/stats',
  listSummaries: 'GET /v1/summaries',
  listVolumes: 'GET /v1/volumes',
  removeVolume: 'DELETE /v1/volumes/:volume',
  sendVolume: 'GET /v1/volumes/:volume/image',
  receiveVolume: 'POST /v1/volumes/:volume/image',
  getVolumeMove: 'GET /v1/volumes/:volume/move',
  exportVolume: 'GET /v1/volumes/:volume/export',
  importVolume: 'PUT /v1/volumes/:volume/import',
  ...nodeVolumePaths,
  buildImage: 'POST /v1/apps/:app/builds',
  loadImage: 'POST /v1/apps/:app/images',
  ...nodeFilePaths,
  ...nodeBackupPaths,
  ...nodeHistoryPaths,
} as const

/**
 * Headers between a front and a node on a request for an app: which instance, the node's key for traffic, what may be done. The id of
 * a plain instance is the name of its app, as in the versions that gave this header its name.
 */
export const HOP_INSTANCE = 'x-shadow-app'
export const HOP_KEY = 'x-shadow-key'
/** After how many milliseconds of a wake the node answers `app-waking`: set for a browser, which can show the waiting page. */
export const HOP_PATIENCE = 'x-shadow-patience'
/** Another port of the instance than its main one, in decimal. */
export const HOP_PORT = 'x-shadow-port'
/** Which release the visitor wants: see `release-cookie.ts`. Without this header: the newest one. */
export const HOP_RELEASE = 'x-shadow-release'
/** The address of the client, if the client came through a proxy that the front trusts; else the node's peer is the client. */
export const HOP_CLIENT = 'x-shadow-client'
/** The span of the front, in the form of a traceparent, for a request that is traced. */
export const HOP_TRACE = 'x-shadow-trace'
/** How many milliseconds the app may take to the first byte of its answer, or `never`. Without this header the default applies. */
export const HOP_ANSWER_WITHIN = 'x-shadow-answer-within'
/** The most requests that the instance may have in flight, of all fronts together. Without this header there is no limit. */
export const HOP_MOST = 'x-shadow-most'
/**
 * `hop`: the header `Expect: 100-continue` comes from the front and not from the client. The front sends the body when the node says so.
 * The
 * node does that once it holds the app (the forwarder's `expect: 'answer'`). If the node refuses before that, the front can send the whole
 * body to another node.
 */
export const HOP_EXPECT = 'x-shadow-expect'
/**
 * The permit of an app's route. A front shows it to the node that it sends a request to, a master to the node that it asks about the app,
 * and the node to the master from which it reads the app's definition.
 */
export const PERMIT_HEADER = 'x-shadow-permit'
export const permitHeaders = (permit: string | undefined): Readonly<Record<string, string>> =>
  permit === undefined ? {} : { [PERMIT_HEADER]: permit }
/** Tells an app which session it is. */
export const SESSION_HEADER = 'x-shadow-session'
/** `never`: answer `app-asleep` instead of waking the app; for uptime checks, which must not keep an app awake. */
export const WAKE_HEADER = 'x-shadow-wake'
/** Why the request may not wake the app, if a rule of the app says so: set by a front, for `shadow why`. */
export const HOP_IGNORED = 'x-shadow-ignored'
/** When the app gave the answer that is given again while it sleeps; ISO 8601. */
export const ANSWERED_HEADER = 'x-shadow-answered'
/** Set on answers of Shadow itself: the phase of the app, and the code of the error. */
export const STATE_HEADER = 'x-shadow-state'
export const ERROR_HEADER = 'x-shadow-error'
/** Set on an error of a node if the app may have seen the request: then the front must not send it elsewhere. */
export const SEEN_HEADER = 'x-shadow-seen'
/** The node that answered. */
export const NODE_HEADER = 'x-shadow-node'
