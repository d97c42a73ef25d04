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
  listNodes: 'GET /v1/nodes',
  announceNode: 'PUT /v1/nodes/:node',
  createToken: 'POST /v1/tokens',
  listTokens: 'GET /v1/tokens',
  removeToken: 'DELETE /v1/tokens/:token',
  listInstances: 'GET /v1/instances',
  getInstance: 'GET /v1/apps/:app/instance',
  wakeApp: 'POST /v1/apps/:app/wake',
  sleepApp: 'POST /v1/apps/:app/sleep',
  appLogs: 'GET /v1/apps/:app/logs',
  putBlob: 'PUT /v1/blobs/:digest',
  headBlob: 'HEAD /v1/blobs/:digest',
  getBlob: 'GET /v1/blobs/:digest',
  changes: 'GET /v1/changes',
} as const

/** The same for the API of a node. `/server-health-check` needs no key. */
export const nodePaths = {
  health: 'GET /server-health-check',
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
} as const

/**
 * Headers between a front and a node on a request for an app: which instance, the node's key for traffic, what may be done. The id of
 * a plain instance is the name of its app, as in the versions that gave this header its name.
 */
export const HOP_INSTANCE = 'x-shadow-app'
export const HOP_KEY = 'x-shadow-key'
/** How many milliseconds the request may wait for a wake before the node answers `app-waking`: it is a browser's. */
export const HOP_PATIENCE = 'x-shadow-patience'
/** Who the client is, where that is not the one the front has heard from: it came by a proxy that the front trusts. */
export const HOP_CLIENT = 'x-shadow-client'
/** How many milliseconds the app may take for the first byte of its answer, or `never`: without it the default holds. */
export const HOP_ANSWER_WITHIN = 'x-shadow-answer-within'
/**
 * `hop`: the `Expect: 100-continue` is the front's own and not the client's. It sends the body when the node says to go on, which it
 * does once it holds the app (the forwarder's `expect: 'answer'`); a refusal before that leaves the body whole for another node.
 */
export const HOP_EXPECT = 'x-shadow-expect'
/**
 * The permit of an app's route: from a front to the node that it sends the app's request to, from a master to the node that it asks
 * about the app, and from the node to the master whose definition of the app it reads.
 */
export const PERMIT_HEADER = 'x-shadow-permit'
export const permitHeaders = (permit: string | undefined): Readonly<Record<string, string>> =>
  permit === undefined ? {} : { [PERMIT_HEADER]: permit }
/** `never`: answer `app-asleep` rather than wake; for uptime checks that must not keep an app from sleeping. */
export const WAKE_HEADER = 'x-shadow-wake'
/** On an answer that is ours and not the app's: the phase of the app, and the code of the error. */
export const STATE_HEADER = 'x-shadow-state'
export const ERROR_HEADER = 'x-shadow-error'
/** Which node answered. */
export const NODE_HEADER = 'x-shadow-node'
