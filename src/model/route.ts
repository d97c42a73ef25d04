import type { App, AppForFronts } from './app.ts'
import type { NodeName } from './names.ts'

/**
 * What a front knows of an app: its hostnames, its version, the rules that the front applies, and where its volume is. It has no
 * environment, no image and no command: a front does not need them, so a stolen front does not reveal them.
 */
export type Route = AppForFronts & {
  readonly revision: number
  readonly hasVolume: boolean
  /** The node that holds the lease of the volume; null where no node does, or there is no volume. */
  readonly node: NodeName | null
  /** The front passes it to the node, and the node shows it to the master to read the app's definition. */
  readonly permit: string
}

/** The route of an app; `node` holds the lease of its volume. The task definition is what is left out. */
export function routeOf({ task, ...forFronts }: App, node: NodeName | null, permit: string): Route {
  return { ...forFronts, revision: task.revision, hasVolume: task.volume !== undefined, node, permit }
}

/** Whether the two are equal in all that a front uses. */
export const isSameRoute = (a: Route, b: Route): boolean =>
  a.name === b.name &&
  a.createdAt === b.createdAt &&
  a.revision === b.revision &&
  a.updatedAt === b.updatedAt &&
  a.node === b.node &&
  a.permit === b.permit
