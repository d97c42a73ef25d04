import type { MasterClient } from '../../api/client.ts'
import { Turns } from '../../lib/turns.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import type { NodeproxyConfig } from '../config.ts'
import type { Moments } from '../snapshots/moments.ts'
import type { BlockDrivers } from '../volumes/block-drivers.ts'
import { broughtImages } from './brought-images.ts'
import { newDisks } from './new-disks.ts'
import { repositories } from './repository.ts'
import { restic } from './restic.ts'
import { VolumeBackups } from './volume-backups.ts'

type Given = Omit<ConstructorParameters<typeof VolumeBackups>[0], 'repository' | 'turns' | 'images' | 'newDisks'> & {
  readonly config: Pick<NodeproxyConfig, 'restic' | 'backupsAtOnce' | 'diskFloor'>
  readonly master: Pick<MasterClient, 'raw'>
  readonly moments: Moments
  readonly volumes: BlockDrivers
  /** The folder with the volumes on the disk of this machine. */
  readonly folder: string
  readonly node: NodeName
}

/** Puts the room of the backups of a node together. */
export function openVolumeBackups({ config, master, ...parts }: Given): VolumeBackups {
  const repository = repositories({ restic: restic(config.restic), master, clock: parts.clock })
  const images = broughtImages({ ...parts, repository, floorBytes: config.diskFloor })
  return new VolumeBackups({
    ...parts,
    repository,
    images,
    newDisks: newDisks(parts),
    turns: new Turns<AppName>(config.backupsAtOnce),
  })
}
