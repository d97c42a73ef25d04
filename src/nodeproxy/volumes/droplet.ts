import { realpath } from 'node:fs/promises'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import type { Device } from './block-driver.ts'
import { type DiskDevices, nvmeDevices } from './nvme.ts'

/** The droplet that this node runs on. */
export type Droplet = { readonly droplet: number; readonly region: string }

const METADATA = 'http://169.254.169.254'
const ANSWERS_WITHIN_MS = 3_000

/** Asks the metadata service who this machine is. Fails with `cloud-failed` where there is none. */
export async function ownDroplet(metadata: string = METADATA): Promise<Droplet> {
  try {
    const [id, region] = await Promise.all(
      ['id', 'region'].map(async what => {
        const url = `${metadata}/metadata/v1/${what}`
        const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) })
        if (!answer.ok) throw new Error(`${url} answered ${answer.status}`)
        return (await answer.text()).trim()
      }),
    )
    const droplet = Number(id)
    if (!Number.isSafeInteger(droplet) || droplet <= 0 || !region)
      throw new Error(`"${id}" in "${region}" is no droplet`)
    return { droplet, region }
  } catch (cause) {
    throw new ShadowError('cloud-failed', 'the metadata service of DigitalOcean does not say which droplet this is', {
      cause,
      hint: 'the driver digitalocean works on droplets alone; elsewhere leave SHADOW_DIGITALOCEAN out. To name the droplet yourself, set SHADOW_DIGITALOCEAN_MACHINE',
    })
  }
}

/** Devices of attached disks, which udev names by the disk. */
export function dropletDevices({ byId = '/dev/disk/by-id' } = {}): DiskDevices {
  return {
    ...nvmeDevices(),
    async find(name) {
      try {
        return (await realpath(`${byId}/scsi-0DO_Volume_${name}`)) as Device
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return undefined
        throw error
      }
    },
  }
}
