import type { InstanceState } from '../../lib/ec2/failures.ts'

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
  /** The snapshot whose bytes it begins with; left out: it is blank. */
  readonly snapshot?: string | undefined
  readonly tags: Readonly<Record<string, string>>
}

/** A snapshot of a disk. Its bytes are those of the moment when it was ordered, however long it is `pending`. */
export type DiskSnapshot = {
  /** Such as `snap-0123456789abcdef0`. */
  readonly id: string
  readonly sizeGiB: number
  readonly state: 'pending' | 'completed' | 'error'
  /** Milliseconds since 1970. */
  readonly orderedAt: number
  readonly tags: Readonly<Record<string, string>>
}

/**
 * The calls of EC2 that the `ebs` driver needs. Each that fails does so with an Ec2Error. Calls return when the API has taken the order: the change itself takes seconds more. A
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
  /** EC2 has no token for this: a call that is repeated makes a second snapshot. */
  snapshot(disk: string, tags: Readonly<Record<string, string>>): Promise<DiskSnapshot>
  /** The snapshots of this account that have all of the tags. */
  snapshots(tags: Readonly<Record<string, string>>): Promise<readonly DiskSnapshot[]>
  deleteSnapshot(snapshot: string): Promise<void>
  /** Undefined for an instance that EC2 does not list. */
  instanceState(instance: string): Promise<InstanceState | undefined>
}
