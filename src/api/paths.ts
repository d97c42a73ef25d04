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
  listTasks: 'GET /v1/apps/:app/tasks',
  getTask: 'GET /v1/apps/:app/tasks/:revision',
  getHost: 'GET /v1/hosts/:hostname',
  listVolumes: 'GET /v1/volumes',
  getVolume: 'GET /v1/volumes/:volume',
  removeVolume: 'DELETE /v1/volumes/:volume',
  leaseVolume: 'POST /v1/volumes/:volume/lease',
  releaseVolume: 'DELETE /v1/volumes/:volume/lease',
  readMovedVolume: 'GET /v1/volumes/:volume/image',
  takeMovedVolume: 'POST /v1/volumes/:volume/moved',
  listNodes: 'GET /v1/nodes',
  cordonNode: 'POST /v1/nodes/:node/cordon',
  uncordonNode: 'DELETE /v1/nodes/:node/cordon',
  drainNode: 'POST /v1/nodes/:node/drain',
  removeNode: 'DELETE /v1/nodes/:node',
  announceNode: 'PUT /v1/nodes/:node',
  createToken: 'POST /v1/tokens',
  listTokens: 'GET /v1/tokens',
  removeToken: 'DELETE /v1/tokens/:token',
  listInstances: 'GET /v1/instances',
  getInstance: 'GET /v1/apps/:app/instance',
  getPlacement: 'GET /v1/apps/:app/placement',
  wakeApp: 'POST /v1/apps/:app/wake',
  sleepApp: 'POST /v1/apps/:app/sleep',
  moveApp: 'POST /v1/apps/:app/move',
  appLogs: 'GET /v1/apps/:app/logs',
  putBlob: 'PUT /v1/blobs/:digest',
  headBlob: 'HEAD /v1/blobs/:digest',
  getBlob: 'GET /v1/blobs/:digest',
  changes: 'GET /v1/changes',
  getCluster: 'GET /v1/cluster',
  createJoinToken: 'POST /v1/cluster/tokens',
  joinCluster: 'POST /v1/cluster/join',
  renewCertificate: 'POST /v1/cluster/certificate',
  listMembers: 'GET /v1/cluster/members',
  removeMember: 'DELETE /v1/cluster/members/:role/:name',
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
  forgetInstance: 'DELETE /v1/instances/:instance',
  forgetApp: 'DELETE /v1/apps/:app',
  instanceLogs: 'GET /v1/instances/:instance/logs',
  followInstance: 'GET /v1/instances/:instance/events',
  listVolumes: 'GET /v1/volumes',
  removeVolume: 'DELETE /v1/volumes/:volume',
  sendVolume: 'GET /v1/volumes/:volume/image',
  receiveVolume: 'POST /v1/volumes/:volume/image',
} as const

/**
 * Headers between a front and a node on a request for an app: which instance, the node's key for traffic, what may be done. The id of
 * a plain instance is the name of its app, as in the versions that gave this header its name.
 */
export const HOP_INSTANCE = 'x-shadow-app'
export const HOP_KEY = 'x-shadow-key'
/** After how many milliseconds of a wake the node answers `app-waking`: set for a browser, which can show the waiting page. */
export const HOP_PATIENCE = 'x-shadow-patience'
/** The address of the client, if the client came through a proxy that the front trusts; else the node's peer is the client. */
export const HOP_CLIENT = 'x-shadow-client'
/** How many milliseconds the app may take to the first byte of its answer, or `never`. Without this header the default applies. */
export const HOP_ANSWER_WITHIN = 'x-shadow-answer-within'
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
/** `never`: answer `app-asleep` instead of waking the app; for uptime checks, which must not keep an app awake. */
export const WAKE_HEADER = 'x-shadow-wake'
/** Set on answers of Shadow itself: the phase of the app, and the code of the error. */
export const STATE_HEADER = 'x-shadow-state'
export const ERROR_HEADER = 'x-shadow-error'
/** The node that answered. */
export const NODE_HEADER = 'x-shadow-node'
