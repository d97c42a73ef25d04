import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { readPrivate } from '../../lib/private-file.ts'
import type { BlockDriver } from './block-driver.ts'
import { digitalocean } from './digitalocean.ts'
import { digitaloceanClient } from './digitalocean-client.ts'
import { type Droplet, dropletDevices, ownDroplet } from './droplet.ts'

type Options = {
  readonly cluster: string
  readonly tokenFile: string | undefined
  /** Left out: the metadata service is asked. */
  readonly machine?: Droplet | undefined
  readonly clock: Clock
  readonly log: Log
}

/** Opens the driver `digitalocean` on this droplet. Fails with `bad-input` without a token, with `cloud-failed` where the machine is none. */
export async function openDigitalocean({
  cluster,
  tokenFile,
  machine: given,
  clock,
  log,
}: Options): Promise<BlockDriver> {
  if (tokenFile === undefined)
    throw new ShadowError('bad-input', 'SHADOW_DIGITALOCEAN is set and SHADOW_DIGITALOCEAN_TOKEN_FILE is not', {
      hint: 'write a token of the API to a file that this user alone can read, and name the file',
    })
  const token = async (): Promise<string> => {
    const found = await readPrivate(tokenFile)
    if (found !== undefined) return found
    throw new ShadowError('bad-input', `SHADOW_DIGITALOCEAN_TOKEN_FILE: there is no token in ${tokenFile}`)
  }
  await token()
  const machine = given ?? (await ownDroplet())
  const api = digitaloceanClient({ region: machine.region, token, clock })
  log.info('volumes on DigitalOcean', { cluster, ...machine })
  return digitalocean({ api, cluster, machine, devices: dropletDevices(), clock, log })
}
