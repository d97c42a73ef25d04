/** An EBS volume. It is called a disk here: a volume is what Shadow keeps on it. */
export type Disk = {
  /** Such as `vol-0123456789abcdef0`. */
  readonly id: string
  readonly zone: string
  readonly sizeGiB: number
  readonly state: 'creating' | 'available' | 'in-use' | 'deleting' | 'deleted' | 'error'
  readonly tags: Readonly<Record<string, string>>
  readonly attachment?: Attachment | undefined
}

type Attachment = {
  /** Such as `i-0123456789abcdef0`. */
  readonly instance: string
  /** The name that the attachment was asked for, such as `/dev/xvdba`. The kernel gives the device another one. */
  readonly deviceName: string
  readonly state: 'attaching' | 'attached' | 'detaching' | 'busy'
}

/** The last growth of a disk. The new size can be used from `optimizing` on. */
export type Growth = {
  readonly state: 'modifying' | 'optimizing' | 'completed' | 'failed'
  readonly toGiB: number
}

export type InstanceState = 'pending' | 'running' | 'stopping' | 'stopped' | 'shutting-down' | 'terminated'

/** Which disks are listed: those that match all that is given. */
export type DiskFilter = {
  readonly id?: string
  readonly attachedTo?: string
  readonly tags?: Readonly<Record<string, string>>
}

export type NewDisk = {
  /** A repeated call with the same token answers with the disk of the first call. */
  readonly token: string
  readonly zone: string
  readonly sizeGiB: number
  readonly tags: Readonly<Record<string, string>>
}

/** Why the API refused a call. */
export type EbsFailure =
  | 'not-found'
  /** The state of the disk does not allow the call: it is attached, not attached, or still changing. */
  | 'wrong-state'
  | 'other-zone'
  /** The instance has as many disks attached as it can have. */
  | 'no-slot'
  | 'device-name-taken'
  /** The zone, or the quota of the account, has no room for the disk. */
  | 'no-capacity'
  /** A disk grows only once in some hours. */
  | 'grown-lately'
  /** The token was used before, for a disk of another size or zone. */
  | 'token-used'
  | 'throttled'
  | 'denied'
  /** Refused for another reason, which the message has. */
  | 'refused'
  /** No answer came. The call may have been carried out. */
  | 'no-answer'

/** An error of `EbsApi`. Each call that fails does so with one of these; `throttled` and `no-answer` come after the API client's own retries. */
export class EbsError extends Error {
  override name = 'EbsError'
  readonly failure: EbsFailure

  constructor(failure: EbsFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.failure = failure
  }
}

/** Whether the error is an EbsError with one of these failures. */
export const isEbs = (error: unknown, ...failures: EbsFailure[]): error is EbsError =>
  error instanceof EbsError && failures.includes(error.failure)

/**
 * The calls of EC2 that the `ebs` driver needs. Calls return when the API has taken the order: the change itself takes seconds more. A
 * list may lack what was changed a moment ago.
 */
export interface EbsApi {
  create(disk: NewDisk): Promise<Disk>
  disks(filter: DiskFilter): Promise<readonly Disk[]>
  attach(disk: string, instance: string, deviceName: string): Promise<void>
  /** `force` takes the disk away though the instance does not let go of it: only for an instance that cannot write any more. */
  detach(disk: string, instance: string, options: { readonly force: boolean }): Promise<void>
  grow(disk: string, toGiB: number): Promise<void>
  /** The last growth of the disk; undefined where it has never grown, or long ago. */
  growth(disk: string): Promise<Growth | undefined>
  tag(disk: string, tags: Readonly<Record<string, string>>): Promise<void>
  delete(disk: string): Promise<void>
  /** Undefined for an instance that EC2 does not list. */
  instanceState(instance: string): Promise<InstanceState | undefined>
}
