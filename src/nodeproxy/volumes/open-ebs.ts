import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { BlockDriver } from './block-driver.ts'
import { ebs } from './ebs.ts'
import { ebsSdk } from './ebs-sdk.ts'
import { type Ec2Machine, ec2Machine } from './ec2-machine.ts'
import { nvmeDevices } from './nvme.ts'

type Options = {
  readonly cluster: string
  /** Left out: the metadata service is asked. */
  readonly machine?: Ec2Machine | undefined
  readonly clock: Clock
  readonly log: Log
}

/** Opens the driver `ebs` on this EC2 instance. Fails with `cloud-failed` where the machine is none. */
export async function openEbs({ cluster, machine: given, clock, log }: Options): Promise<BlockDriver> {
  const machine = given ?? (await ec2Machine())
  const api = await ebsSdk({ region: regionOf(machine.zone) })
  log.info('volumes on EBS', { cluster, ...machine })
  return ebs({ api, cluster, machine, devices: nvmeDevices(), clock, log })
}

/** The region of a zone: `eu-central-1a` is in `eu-central-1`, the local zone `us-west-2-lax-1a` in `us-west-2`. @internal */
export function regionOf(zone: string): string {
  const [region] = /^[a-z]{2}(-[a-z]+)+?-\d+/.exec(zone) ?? []
  if (region === undefined) throw new ShadowError('bad-input', `"${zone}" is not a zone of AWS, such as eu-central-1a`)
  return region
}
