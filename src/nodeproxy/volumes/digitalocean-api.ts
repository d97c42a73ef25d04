/** A block storage volume of DigitalOcean. It is called a disk here: a volume is what Shadow keeps on it. */
export type DoDisk = {
  readonly id: string
  /** Unique in its region; the device of an attached disk is named by it. */
  readonly name: string
  readonly sizeGiB: number
  /** The droplet that it is attached to, or is being attached to or detached from. */
  readonly droplet: number | undefined
  readonly tags: readonly string[]
}

/** A snapshot of a disk; it stays when the disk is deleted. */
export type DoSnapshot = {
  readonly id: string
  /** A disk that is made from it has at least this size. */
  readonly leastGiB: number
  /** Milliseconds since 1970. */
  readonly takenAt: number
  readonly tags: readonly string[]
}

/** Why the API refused a call. */
export type DoFailure =
  | 'not-found'
  /** A disk of this name is there already, or the state of the disk does not allow the call. */
  | 'conflict'
  /** The droplet has as many disks as it can have. */
  | 'no-slot'
  /** The quota of the account has no room for the disk. */
  | 'no-capacity'
  | 'throttled'
  | 'denied'
  /** Refused for another reason, which the message has. */
  | 'refused'
  /** No answer came. The call may have been carried out. */
  | 'no-answer'

/** An error of `DigitaloceanApi`. Each call that fails does so with one of these; `throttled` comes after the client's own retries. */
export class DoError extends Error {
  override name = 'DoError'
  readonly failure: DoFailure

  constructor(failure: DoFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.failure = failure
  }
}

export const isDo = (error: unknown, ...failures: DoFailure[]): error is DoError =>
  error instanceof DoError && failures.includes(error.failure)

/** The calls that the `digitalocean` driver needs, in one region. Orders are answered before they are carried out, which takes seconds. */
export interface DigitaloceanApi {
  /** The disk of this name; undefined if there is none. */
  named(name: string): Promise<DoDisk | undefined>
  /** All disks of the region. */
  all(): Promise<readonly DoDisk[]>
  create(
    disk: Pick<DoDisk, 'name' | 'sizeGiB' | 'tags'> & {
      readonly description: string
      /** The snapshot whose bytes it begins with. */
      readonly snapshot?: string | undefined
    },
  ): Promise<DoDisk>
  attach(disk: string, droplet: number): Promise<void>
  detach(disk: string, droplet: number): Promise<void>
  grow(disk: string, toGiB: number): Promise<void>
  tag(disk: string, tag: string): Promise<void>
  delete(disk: string): Promise<void>
  /** The names of snapshots are not unique: a call that is repeated takes a second one. */
  snapshot(disk: string, named: { readonly name: string; readonly tags: readonly string[] }): Promise<void>
  /** All snapshots of disks in the region. */
  snapshots(): Promise<readonly DoSnapshot[]>
  deleteSnapshot(snapshot: string): Promise<void>
  /** Whether there is such a droplet, in whatever state. */
  hasDroplet(droplet: number): Promise<boolean>
}
