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
  /** Left out: open sessions go to a newer release. */
  readonly sessions?: 'stay' | undefined
  /** The route is that of the hostname of one release, which alone may serve its requests. */
  readonly release?: number | undefined
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

/** The route of an app; `place` is where its volume is. The task definition and what is staged are left out. */
export function routeOf(app: App, place: VolumePlace, permit: string, needs = needsOf(app.task, place)): Route {
  const { task, staged: _, budget: __, usedBy: _1, permits: _2, ...forFronts } = app
  return {
    ...forFronts,
    revision: task.revision,
    hasVolume: task.volume !== undefined,
    ...(task.deploy?.sessions === 'stay' && { sessions: 'stay' as const }),
    node: place.node,
    needs,
    permit,
  }
}

/** The apps that an app hangs together with: the one whose volume says where it runs, and those that it wakes. */
type Together = { readonly home?: TaskDefinition | undefined; readonly wakes: readonly TaskDefinition[] }

/** What an app needs of a node, by its definition and where its volume is, or that of the app whose node it shares. */
export function needsOf(
  task: TaskDefinition,
  { node, isLocal, isLost, zone }: VolumePlace,
  { home, wakes }: Together = { wakes: [] },
): Needs {
  const volume = task.volume ?? home?.volume
  return {
    reserveBytes: [task, ...wakes].reduce((sum, one) => sum + reservedBy(one), 0),
    ...(task.pinned !== undefined && { image: imageKey(task.pinned.id) }),
    ...(volume !== undefined && {
      volume: { node, isLocal, ...driverIn(volume), ...(isLost && { isLost }), ...(zone !== undefined && { zone }) },
    }),
  }
}

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
