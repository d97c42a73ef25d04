import type { App, AppForFronts } from './app.ts'
import type { NodeName } from './names.ts'
import { imageKey, type Needs, reservedBy } from './placement.ts'
import type { TaskDefinition, TaskVolume } from './task.ts'

/**
 * What a front knows of an app: its hostnames, its version, the rules that the front applies, and where its volume is. It has no
 * environment, no image and no command: a front does not need them, so a stolen front does not reveal them.
 */
export type Route = AppForFronts & {
  readonly revision: number
  readonly hasVolume: boolean
  /** The node that holds the lease of the volume; null where no node does, or there is no volume. */
  readonly node: NodeName | null
  /** What placement goes by. */
  readonly needs: Needs
  /** The front passes it to the node, and the node shows it to the master to read the app's definition. */
  readonly permit: string
}

/** The lease of an app's volume, as far as placement needs it. */
export type VolumePlace = {
  readonly node: NodeName | null
  readonly isLocal: boolean
  readonly isLost?: boolean | undefined
  readonly zone?: string | undefined
}

export const NO_PLACE: VolumePlace = { node: null, isLocal: false }

/** The route of an app; `place` is where its volume is. The task definition is what is left out. */
export function routeOf(app: App, place: VolumePlace, permit: string): Route {
  const { task, ...forFronts } = app
  return {
    ...forFronts,
    revision: task.revision,
    hasVolume: task.volume !== undefined,
    node: place.node,
    needs: needsOf(task, place),
    permit,
  }
}

/** What an app needs of a node, by its definition and where its volume is. */
export const needsOf = (task: TaskDefinition, { node, isLocal, isLost, zone }: VolumePlace): Needs => ({
  reserveBytes: reservedBy(task),
  ...(task.pinned !== undefined && { image: imageKey(task.pinned.id) }),
  ...(task.volume !== undefined && {
    volume: { node, isLocal, ...driverIn(task.volume), ...(isLost && { isLost }), ...(zone !== undefined && { zone }) },
  }),
})

const driverIn = ({ driver }: TaskVolume): Pick<TaskVolume, 'driver'> => (driver === undefined ? {} : { driver })

/** Whether the two are equal in all that a front uses. */
export const isSameRoute = (a: Route, b: Route): boolean =>
  a.name === b.name &&
  a.createdAt === b.createdAt &&
  a.revision === b.revision &&
  a.updatedAt === b.updatedAt &&
  a.node === b.node &&
  a.needs.volume?.isLocal === b.needs.volume?.isLocal &&
  a.needs.volume?.isLost === b.needs.volume?.isLost &&
  a.needs.volume?.zone === b.needs.volume?.zone &&
  a.permit === b.permit
