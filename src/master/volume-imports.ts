import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { ShadowError } from '../lib/errors.ts'
import type { AppName, NodeName, VolumeId } from '../model/names.ts'
import type { Size } from '../model/quantities.ts'
import type { VolumeDriver } from '../model/task.ts'
import { mustTake } from './app-moves.ts'
import type { Nodes } from './nodes.ts'
import type { Records } from './records.ts'
import type { Relay } from './relay.ts'
import type { Volumes } from './volumes.ts'

type Parts = {
  readonly nodes: Pick<Nodes, 'get'>
  readonly records: Pick<Records, 'read'>
  readonly volumes: Pick<Volumes, 'beginImport' | 'endMove' | 'placeOf'>
  readonly relay: Pick<Relay, 'importVolume' | 'nodeForVolume'>
}
type Asked = {
  readonly volume: Size
  readonly driver: Extract<VolumeDriver, 'loop' | 'pool'>
  readonly size: number
  readonly bytes: number
  readonly node?: NodeName | undefined
}

export type VolumeImports = ReturnType<typeof volumeImports>

/**
 * Makes volumes from exported ones. A node writes the image, and then the record of the volume is made by one conditional write, as when a move is
 * finished. Until then there is no volume, and what the node has is removed by it, or replaced by the next import of that name.
 */
export function volumeImports({ nodes, records, volumes, relay }: Parts) {
  return async (
    id: VolumeId,
    { volume, driver, node, ...image }: Asked,
    request: IncomingMessage,
    signal: AbortSignal,
  ) => {
    const record = await records.read(id as string as AppName)
    if (record.state === 'live')
      throw new ShadowError('already-exists', `an app is called ${id} already`, {
        hint: 'give another name: --as NAME',
      })
    const target = node === undefined ? await relay.nodeForVolume(id, driver) : await nodes.get(node)
    mustTake(target, driver)
    const move = randomUUID()
    await volumes.beginImport(id, { id: move, to: target.name, size: volume, driver })
    try {
      await relay.importVolume(target, id, { ...image, move, ...(driver !== 'loop' && { driver }) }, request, signal)
    } catch (error) {
      await volumes.endMove(id, move)
      throw error
    }
  }
}
