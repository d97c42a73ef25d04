import { openMetadata } from '../../lib/ec2/metadata.ts'
import { ShadowError } from '../../lib/errors.ts'

/** The EC2 instance that this node runs on. */
export type Ec2Machine = { readonly instance: string; readonly zone: string }

/** Asks the instance metadata service who this machine is. */
export async function ec2Machine(metadata?: string): Promise<Ec2Machine> {
  try {
    const read = await openMetadata(metadata)
    const [instance, zone] = await Promise.all([read('instance-id'), read('placement/availability-zone')])
    if (instance !== undefined && zone !== undefined) return { instance, zone }
    throw new Error('it names no instance, or no zone')
  } catch (cause) {
    throw new ShadowError('cloud-failed', 'the instance metadata service of EC2 does not say which machine this is', {
      cause,
      hint: 'the driver ebs works on EC2 alone; elsewhere leave SHADOW_EBS out. To name the machine yourself, set SHADOW_EBS_MACHINE',
    })
  }
}
