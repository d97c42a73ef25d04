import { ShadowError } from '../lib/errors.ts'
import type { AppName, NodeName, VolumeId } from './names.ts'

/** The error of an app whose volume was on the disk of a node that is gone for good, with both ways out of it. */
export const volumeLost = (volume: VolumeId | AppName, node: NodeName): ShadowError =>
  new ShadowError('volume-lost', `the volume ${volume} was on the disk of ${node}, which was removed as lost`, {
    hint: `if that machine comes back, let it in again (shadow node token ${node}; without a cluster, shadow token create ${node} --role node), and it serves its volumes again; to go on without the data: shadow update ${volume} --no-volume, shadow volume rm ${volume}, shadow update ${volume} --volume SIZE`,
    facts: { node },
  })

/** The error of a node that has the lease of a volume by its name, but not the disk that has the bytes. */
export const volumeNotHere = (volume: VolumeId, node: NodeName): ShadowError =>
  new ShadowError(
    'volume-not-here',
    `the volume ${volume} is on a disk that the node ${node} had before; the machine that is ${node} now has another disk, and no empty volume is made there`,
    {
      hint: `if the disk of the volumes is not mounted, or SHADOW_DATA is another folder than before, mend that and start the node again; if another machine was ${node}, end this one and let that one join again (shadow node token ${node}); to go on without the data: shadow update ${volume} --no-volume, shadow volume rm ${volume}, shadow update ${volume} --volume SIZE`,
      facts: { node },
    },
  )
