import { ShadowError } from '../../lib/errors.ts'

/** The EC2 instance that this node runs on. */
export type Ec2Machine = { readonly instance: string; readonly zone: string }

const METADATA = 'http://169.254.169.254'
const ANSWERS_WITHIN_MS = 3_000

/**
 * Asks the instance metadata service who this machine is, by its second version: that needs a token, which a forged request from a web
 * page or a naive proxy does not get.
 */
export async function ec2Machine(metadata: string = METADATA): Promise<Ec2Machine> {
  try {
    const token = await answerOf(`${metadata}/latest/api/token`, {
      method: 'PUT',
      headers: { 'X-aws-ec2-metadata-token-ttl-seconds': '60' },
    })
    const headers = { 'X-aws-ec2-metadata-token': token }
    const [instance, zone] = await Promise.all([
      answerOf(`${metadata}/latest/meta-data/instance-id`, { headers }),
      answerOf(`${metadata}/latest/meta-data/placement/availability-zone`, { headers }),
    ])
    return { instance, zone }
  } catch (cause) {
    throw new ShadowError('cloud-failed', 'the instance metadata service of EC2 does not say which machine this is', {
      cause,
      hint: 'the driver ebs works on EC2 alone; elsewhere leave SHADOW_EBS out. To name the machine yourself, set SHADOW_EBS_MACHINE',
    })
  }
}

async function answerOf(url: string, init: RequestInit): Promise<string> {
  const answer = await fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) })
  const text = (await answer.text()).trim()
  if (!answer.ok || text === '') throw new Error(`${url} answered ${answer.status}`)
  return text
}
