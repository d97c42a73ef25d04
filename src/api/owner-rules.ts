import { imageByDigest } from '../model/image-store.ts'
import { appOf, type InstanceId } from '../model/instance-id.ts'
import type { Scope } from '../model/scope.ts'
import { isInScope } from '../model/scope.ts'
import { sourceParts, type VolumeSource } from '../model/volume-source.ts'
import type { CallAnswer, HandlerInput } from './call-shape.ts'
import type { masterCalls } from './master-calls.ts'

type Calls = typeof masterCalls

/**
 * A definition in a call. Its image must not be of an app of somebody else, its domains not those that follow from names of other apps, and it may open no
 * more of the network than its app could reach before.
 */
export type Defines = {
  /** The app that it is the definition of; undefined: of a session that is made from an image. */
  readonly app: string | undefined
  readonly image?: string | undefined
  readonly domains?: readonly string[] | null | undefined
  readonly egress?: readonly string[] | null | undefined
}

/**
 * What a token of the role owner may do by a call. `never`: nothing. `always`: the call is about no app. `handler`: the handler of the call asks for the
 * scope of its caller. Otherwise `apps` names the apps that the call is about, all of which must be in the scope of the token.
 */
export type OwnerRule<I, A> =
  | 'never'
  | 'always'
  | 'handler'
  | {
      readonly apps?: (input: I) => readonly string[]
      readonly defines?: (input: I) => Defines
      /** The answer without what is not in the scope. */
      readonly shows?: (answer: A, scope: Scope) => A
      /** The answer is a page: of each item, which app it is about, and what `after` is for the page that begins behind it. */
      readonly pages?: A extends { items: readonly (infer T)[] }
        ? { readonly app: (item: T) => string; readonly after: (item: T) => string }
        : never
    }

const own = { apps: ({ params }: { params: { app: string } }) => [params.app] }
/** The apps that a definition, or a patch of one, uses: it reaches all that they listen on. */
const usedIn = ({ uses }: { readonly uses?: unknown }): readonly string[] =>
  Array.isArray(uses) ? uses.filter(name => typeof name === 'string') : []
/** The app whose volume the sessions of a template get a copy of. */
const copiedIn = (template: { readonly volumeFrom?: VolumeSource | undefined } | undefined): readonly string[] =>
  template?.volumeFrom === undefined ? [] : [sourceParts(template.volumeFrom).app]
const ofSession = { apps: ({ params }: { params: { session: string } }) => [params.session] }
/** A volume has the name of its app, also when the app is not there any more. */
const ownVolume = { apps: ({ params }: { params: { volume: string } }) => [params.volume] }
const firstPart = (repository: string): string => repository.split('/', 1)[0] ?? ''
const instances = <T extends { readonly items: readonly { readonly instance: string }[] }>(
  answer: T,
  scope: Scope,
): T => ({
  ...answer,
  items: answer.items.filter(({ instance }) => isInScope(scope, appOf(instance as InstanceId))),
})

/** The rule of every call of the master's API: a call without one does not compile. */
export const ownerRules: { readonly [K in keyof Calls]: OwnerRule<HandlerInput<Calls[K]>, CallAnswer<Calls[K]>> } = {
  health: 'always',
  manifestSchema: 'always',
  getCluster: 'always',
  joinCluster: 'always',

  registerApp: {
    apps: ({ body }) => [...copiedIn(body.template), body.name, ...usedIn(body)],
    defines: ({ body }) => ({ ...body, app: body.name }),
  },
  listApps: { pages: { app: ({ name }) => name, after: ({ name }) => name } },
  getApp: own,
  replaceApp: {
    apps: ({ params, body }) => [params.app, ...usedIn(body)],
    defines: ({ params, body }) => ({ ...body, app: params.app }),
  },
  updateApp: {
    apps: ({ params, body }) => [params.app, ...usedIn(body)],
    defines: ({ params, body }) => ({ ...body, app: params.app }),
  },
  removeApp: own,
  setAccess: own,
  setScale: own,
  setWakeRules: own,
  setPages: own,
  setTemplate: { apps: ({ params, body }) => [...copiedIn(body), params.app] },
  connectSession: {
    // The handler names a session of an image by the scope of its caller.
    apps: ({ body }) => (body.template === undefined ? [] : [body.template]),
    defines: ({ body: { spawn } }) => ({ app: undefined, image: spawn?.image, egress: spawn?.egress }),
  },
  listSessions: {
    shows: ({ items, next }, scope) => ({ next, items: items.filter(one => isInScope(scope, one.template)) }),
  },
  getSession: ofSession,
  followSession: ofSession,
  endSession: ofSession,
  revokeTokens: own,
  sessionEnded: 'never',
  pauseApp: own,
  resumeApp: own,
  setTcp: own,
  getTcp: own,
  listDomains: own,
  // A front does these.
  reportTcp: 'never',
  wantCertificate: 'never',
  getChallenge: 'never',
  announceFront: 'never',
  getTexts: 'never',
  getDefinition: own,
  getEndpoint: own,
  getPlacement: own,
  // What a front is told has the permit to place the app anywhere.
  getHost: 'never',
  listKept: 'never',

  listReleases: own,
  getRelease: own,
  diffReleases: own,
  rollbackApp: own,
  listNeeded: 'never',
  neededImages: 'never',
  listSecrets: own,
  changeSecrets: own,
  discardSecrets: own,
  addSchedule: own,
  listSchedules: own,
  removeSchedule: own,
  runSchedule: own,

  listInstances: { shows: instances },
  getInstance: own,
  wakeApp: own,
  sleepApp: own,
  moveApp: own,
  getMove: own,
  followRollout: own,
  appLogs: own,
  openSession: own,
  openTerminal: own,
  openExec: own,
  listStats: { shows: instances },
  getTimeline: own,
  getSeries: own,
  getActivity: { apps: ({ query }) => query.apps },
  statFile: own,
  readFiles: own,
  writeFiles: own,

  listVolumes: { pages: { app: ({ id }) => id, after: ({ id }) => id } },
  getVolume: ownVolume,
  removeVolume: ownVolume,
  exportVolume: own,
  importVolume: ownVolume,
  takeSnapshot: ownVolume,
  listSnapshots: ownVolume,
  removeSnapshot: ownVolume,
  restoreVolume: ownVolume,
  forkVolume: { apps: ({ params, body }) => [params.volume, body.name] },
  forkApp: {
    apps: ({ params, body }) => [params.app, body.name],
    defines: ({ body }) => ({ app: body.name, domains: body.domains }),
  },
  growVolume: ownVolume,
  // Nodes alone do these.
  leaseVolume: 'never',
  releaseVolume: 'never',
  readMovedVolume: 'never',
  takeMovedVolume: 'never',
  checkMovedVolume: 'never',

  backUpApp: own,
  listBackups: own,
  removeBackups: own,
  getBackupKey: own,
  verifyBackup: own,
  pruneBackups: own,
  setBackupPolicy: own,
  removeBackup: own,
  restoreApp: { apps: ({ params, body }) => [params.app, body.to ?? params.app] },
  // A node does these, for a run that a master has granted.
  createRepository: 'never',
  headRepositoryConfig: 'never',
  getRepositoryConfig: 'never',
  putRepositoryConfig: 'never',
  listRepositoryFiles: 'never',
  headRepositoryFile: 'never',
  getRepositoryFile: 'never',
  putRepositoryFile: 'never',
  removeRepositoryFile: 'never',

  // Named by their content: who knows the digest has the bytes. What is stored can be used by `buildImage` and by definitions.
  putBlob: 'always',
  headBlob: 'always',
  getBlob: 'never',
  getSource: 'never',
  buildImage: own,
  // An archive of Docker can give its images any name, also that of an image of somebody else. An owner pushes to the masters.
  loadImage: 'never',
  listImages: {
    pages: {
      app: ({ repository }) => firstPart(repository),
      after: ({ repository, digest }) => imageByDigest(repository as never, digest),
    },
    shows: (answer, scope) => ({
      ...answer,
      items: answer.items.map(item => ({ ...item, apps: item.apps.filter(app => isInScope(scope, app)) })),
    }),
  },
  removeImage: {
    apps: ({ query }) => [firstPart(query.image.replace(/^master\.shadow\//, '')).replace(/[:@].*$/, '')],
  },
  pruneImages: 'never',
  readImage: 'never',

  createToken: 'handler',
  listTokens: 'handler',
  removeToken: 'handler',
  addSshKey: 'handler',
  listSshKeys: 'handler',
  removeSshKey: 'handler',

  getUsage: {
    apps: ({ query }) => (query.app === undefined ? [] : [query.app]),
    shows: (answer, scope) => ({ ...answer, items: answer.items.filter(({ app }) => isInScope(scope, app)) }),
  },
  reportUsage: 'never',
  listBudgets: 'handler',
  setBudget: 'never',
  removeBudget: 'never',
  // The handlers leave out what is not in the scope: counts and pages are of what is left.
  getOverview: 'handler',
  followOverview: 'handler',

  // About the person alone.
  getSignIn: 'always',
  startDashboardSession: 'always',
  getDashboardSession: 'always',
  endDashboardSession: 'always',
  createDashboardLink: 'always',
  startOidc: 'always',
  finishOidc: 'always',

  // Of all apps, without a way to leave some out.
  changes: 'never',

  // A webhook may be told of machines, and masters reach more of the network than owners do.
  addWebhook: 'never',
  listWebhooks: 'never',
  removeWebhook: 'never',
  testWebhook: 'never',

  // Machines are the admin's.
  listNodes: 'never',
  cordonNode: 'never',
  uncordonNode: 'never',
  drainNode: 'never',
  removeNode: 'never',
  announceNode: 'never',
  createJoinToken: 'never',
  renewCertificate: 'never',
  listMembers: 'never',
  removeMember: 'never',
  getFleet: 'never',
  allowFleet: 'never',
  denyFleet: 'never',
  leaseFleet: 'never',
  releaseFleet: 'never',
  saveFleet: 'never',
  createServerToken: 'never',
  drainServer: 'never',
  undrainServer: 'never',
  removeServer: 'never',
}
