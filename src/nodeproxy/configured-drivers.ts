import type { NodeproxyConfig } from './config.ts'
import { type DriverOptions, type Drivers, openDrivers } from './drivers.ts'
import { openDigitalocean } from './volumes/open-digitalocean.ts'
import { openEbs } from './volumes/open-ebs.ts'

type Given = Pick<
  DriverOptions,
  'node' | 'dockerSocket' | 'storedImages' | 'named' | 'wireOf' | 'isUsed' | 'seals' | 'exec' | 'clock' | 'log'
>

/** The drivers that the settings of this node ask for. Fails where the machine is not in a cloud that they name. */
export async function configuredDrivers(config: NodeproxyConfig, given: Given): Promise<Drivers> {
  const { clock, log } = given
  const { data, egress, egressPorts, preparedNetworks, volumeOvercommit, pool } = config
  const ebs =
    config.ebs === undefined
      ? undefined
      : await openEbs({ cluster: config.ebs, machine: config.ebsMachine, clock, log })
  const digitalocean =
    config.digitalocean === undefined
      ? undefined
      : await openDigitalocean({
          cluster: config.digitalocean,
          tokenFile: config.digitaloceanToken,
          machine: config.digitaloceanMachine,
          clock,
          log,
        })
  return openDrivers({
    ...given,
    ...{ data, egress, egressPorts, preparedNetworks, volumeOvercommit, pool, ebs, digitalocean },
    floorBytes: config.diskFloor,
  })
}
