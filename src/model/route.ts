import type { App, AppForFronts } from './app.ts'
import type { InstanceId } from './instance-id.ts'
import type { AppName, NodeName } from './names.ts'

/** The version of an app that something was read from. `isNewer` orders the versions of one app. */
export type Version = {
  readonly createdAt: string
  readonly revision: number
  readonly updatedAt: string
}

/**
 * What a front knows of an app: its hostnames, its version, the rules that the front applies, and where its volume is. It has no
 * environment, no image and no command: a front does not need them, so a stolen front does not reveal them.
 */
export type Route = AppForFronts &
  Version & {
    readonly hasVolume: boolean
    /** The node that holds the lease of the volume; null where no node does, or there is no volume. */
    readonly node: NodeName | null
    /** The front passes it to the node, and the node shows it to the master to read the app's definition. */
    readonly permit: string
  }

/** An app in a version that somebody has heard of. The node fetches its definition by itself. */
export type AppAt = Version & {
  readonly name: AppName
  readonly permit?: string | undefined
  /** The instance of the app that is meant; left out: the plain one. */
  readonly instance?: InstanceId | undefined
}

/** The route of an app; `node` holds the lease of its volume. The task definition is what is left out. */
export function routeOf({ task, ...forFronts }: App, node: NodeName | null, permit: string): Route {
  return { ...forFronts, revision: task.revision, hasVolume: task.volume !== undefined, node, permit }
}

/** The app in the version that it has now: for tests. @internal */
export const appAt = (app: App): AppAt => ({ name: app.name, ...versionOf(app) })

export const versionOf = ({ createdAt, updatedAt, task: { revision } }: App): Version => ({
  createdAt,
  revision,
  updatedAt,
})

/** Whether `a` came after `b`: an app that was removed and registered anew is newer, whatever its revision. */
export function isNewer(a: Version, b: Version): boolean {
  if (a.createdAt !== b.createdAt) return a.createdAt > b.createdAt
  if (a.revision !== b.revision) return a.revision > b.revision
  return a.updatedAt > b.updatedAt
}

/** Whether the two are equal in all that a front uses. */
export const isSameRoute = (a: Route, b: Route): boolean =>
  a.name === b.name &&
  a.createdAt === b.createdAt &&
  a.revision === b.revision &&
  a.updatedAt === b.updatedAt &&
  a.node === b.node &&
  a.permit === b.permit
