import { Ec2Error } from '../../lib/ec2/failures.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { VolumeId } from '../../model/names.ts'
import type { Disk } from './ebs-api.ts'
import type { Ec2Machine } from './ec2-machine.ts'

/** What EC2 refused, as the error of the driver; any other error stays as it is. `what` is what was to be done: "attach volume blog". */
export function asFailure(error: unknown, what: string, { instance, zone }: Ec2Machine): unknown {
  if (!(error instanceof Ec2Error)) return error
  const say = (reason: string): string => `EC2 cannot ${what}: ${reason} (${error.message})`
  switch (error.failure) {
    case 'no-capacity':
      return new ShadowError('disk-full', say(`zone ${zone}, or the quota of the account, has no room left`), {
        cause: error,
        hint: 'see the quotas of EBS in the AWS console, or run nodes in another zone too',
      })
    case 'no-slot':
      return new ShadowError('no-volume-slot', say(`${instance} has as many disks as it can have`), {
        cause: error,
        hint: 'set SHADOW_VOLUME_SLOTS on this node to what its type of instance can attach',
      })
    case 'other-zone':
      return new ShadowError('no-node', say(`its disk is in another zone than ${instance}, which is in ${zone}`), {
        cause: error,
      })
    case 'denied':
      return new ShadowError('cloud-failed', say('the credentials of this node do not allow it'), {
        cause: error,
        hint: 'compare the role of the node with contrib/aws/iam-node.json',
      })
    case 'throttled':
      return new ShadowError('cloud-failed', say('the API is called too often'), {
        cause: error,
        retryAfterMs: 5_000,
      })
    case 'no-answer':
      return new ShadowError('cloud-failed', say('no answer came'), { cause: error, retryAfterMs: 5_000 })
    default:
      return new ShadowError('cloud-failed', say(error.failure), { cause: error })
  }
}

/** A disk attaches only within its zone. */
export const otherZone = (volume: VolumeId, disk: Disk, { instance, zone }: Ec2Machine): ShadowError =>
  new ShadowError('no-node', `volume ${volume} is in zone ${disk.zone}, and ${instance} in zone ${zone}`, {
    facts: { zone: disk.zone },
    hint: `run a node in zone ${disk.zone}`,
  })

/** The disk never became available. */
export const notMade = (volume: VolumeId, disk: Disk): ShadowError =>
  new ShadowError('cloud-failed', `${disk.id}, made for volume ${volume}, does not become available: ${disk.state}`, {
    retryAfterMs: 10_000,
  })

/** EBS lets a disk grow only so often. */
export const grownLately = (volume: VolumeId, { id, sizeGiB }: Disk, cause: Ec2Error): ShadowError =>
  new ShadowError(
    'cloud-failed',
    `${id} of volume ${volume} cannot grow yet, as it has grown lately: ${cause.message}`,
    {
      cause,
      hint: `ask for ${sizeGiB}GiB until then; EBS lets a disk grow again after some hours`,
      retryAfterMs: 3_600_000,
    },
  )
