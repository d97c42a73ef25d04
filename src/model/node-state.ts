export const NODE_STATES = ['joining', 'healthy', 'unhealthy', 'draining', 'gone'] as const
/**
 * `joining`: has announced itself and was never well. `healthy`: takes apps. `unhealthy`: is there, and something is wrong with it.
 * `draining`: well, and its apps leave it. `gone`: has been silent for NODE_LOST_AFTER.
 */
export type NodeState = (typeof NODE_STATES)[number]

/** What an observer knows of a node now: a master by its announcements, a front by its own checks. */
export type NodeObservation = {
  readonly isSilent: boolean
  /** Whether it can serve apps: its Docker answers, its disk has room, it is not stopping. */
  readonly isWell: boolean
  readonly isDraining: boolean
}

/** The state of a node by its last state, undefined for one that was just seen for the first time, and by what is known now. */
export function nextNodeState(
  before: NodeState | undefined,
  { isSilent, isWell, isDraining }: NodeObservation,
): NodeState {
  if (isSilent) return 'gone'
  if (isWell) return isDraining ? 'draining' : 'healthy'
  // A node that comes back has to be well once, as a new one has.
  return before === undefined || before === 'joining' || before === 'gone' ? 'joining' : 'unhealthy'
}

/** Whether requests may go to a node in this state. */
export const servesApps = (state: NodeState): boolean => state === 'healthy' || state === 'draining'

/** What becomes of apps whose volume is on the disk of a node that drains: it serves them on, or they stop until it is uncordoned. */
export const VOLUMES_OF_DRAINED = ['keep', 'stop'] as const
export type VolumesOfDrained = (typeof VOLUMES_OF_DRAINED)[number]

/** What an admin wants of a node: no apps that it does not have already; with `drain`, none at all. Times are ISO 8601. */
export type Cordon = {
  readonly since: string
  readonly drain?:
    | {
        /** Apps in use have so long to end by themselves. */
        readonly until: string
        readonly volumes: VolumesOfDrained
      }
    | undefined
}
