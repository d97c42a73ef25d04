import type { InstanceState } from '../../lib/ec2/failures.ts'

/** An instance of EC2, as far as a fleet needs it. */
export type Machine = {
  readonly id: string
  readonly state: InstanceState
  readonly type: string
  readonly subnet: string | undefined
  readonly zone: string
  readonly isSpot: boolean
  readonly tags: Readonly<Record<string, string>>
}

export type NewMachine = {
  /** A repeated call with the same token makes no second machine, and with other arguments it fails with `token-used`. */
  readonly token: string
  /** Left out: that of the launch template. */
  readonly type: string | undefined
  readonly subnet: string | undefined
  readonly isSpot: boolean
  readonly userData: string
  readonly tags: Readonly<Record<string, string>>
}

/**
 * The calls of EC2 that the driver `ec2` needs. Each that fails does so with an Ec2Error. Calls return when EC2 has taken the order: the change
 * itself takes seconds more. A list may lack what was changed a moment ago, and has machines that are terminated for about an hour.
 */
export interface MachineApi {
  run(machine: NewMachine): Promise<void>
  /** The machines that have all of these tags. */
  machines(tags: Readonly<Record<string, string>>): Promise<readonly Machine[]>
  start(id: string): Promise<void>
  stop(id: string): Promise<void>
  terminate(id: string): Promise<void>
  /** The zone of each subnet. */
  zones(subnets: readonly string[]): Promise<ReadonlyMap<string, string>>
}
