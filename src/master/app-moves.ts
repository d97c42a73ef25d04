import { randomUUID } from 'node:crypto'
import { ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import type { NodeName } from '../model/names.ts'
import { canAttach } from '../model/placement.ts'
import { driverOf, HAS_DRIVER } from '../model/task.ts'
import { volumeLost } from '../model/volume-lost.ts'
import type { ControlledNode, Nodes } from './nodes.ts'
import type { Relay } from './relay.ts'
import type { Volumes } from './volumes.ts'

type Parts = {
  readonly nodes: Pick<Nodes, 'get'>
  readonly volumes: Pick<Volumes, 'placeOf' | 'beginMove' | 'endMove'>
  readonly relay: Pick<Relay, 'onDiskBytes' | 'receiveVolume'>
}
type Moved = { app: App['name']; from: NodeName | null; to: NodeName; moved: boolean; onDiskBytes?: number }

export type AppMoves = ReturnType<typeof appMoves>

/**
 * Moves an app whose volume is on the disk of a node. All that can be checked is checked before the app is stopped. After any failure the
 * volume is whole where the lease is: at the old node, unless the new one has taken it over.
 */
export function appMoves({ nodes, volumes, relay }: Parts) {
  return async (app: App, to: NodeName, signal: AbortSignal): Promise<Moved> => {
    const { name, task } = app
    if (task.volume === undefined || driverOf(task.volume) !== 'loop') throw nothingToMove(app, to)
    const { id } = task.volume
    const target = await nodes.get(to)
    const place = await volumes.placeOf(id)
    if (place.isLost && place.node !== null) throw volumeLost(name, place.node)
    const from = place.node
    if (from === null || from === to) return { app: name, from, to, moved: false }
    mustTake(target)
    const neededBytes = await relay.onDiskBytes(from, id)
    const move = randomUUID()
    await volumes.beginMove(id, { id: move, from, to })
    try {
      await relay.receiveVolume(target, id, { move, neededBytes }, signal)
    } catch (error) {
      await volumes.endMove(id, move)
      if ((await volumes.placeOf(id)).node !== to) throw error
      // The node has taken it over, and its answer was lost.
    }
    return { app: name, from, to, moved: true, onDiskBytes: neededBytes }
  }
}

/** Fails if the node cannot take a volume onto its disk now. */
function mustTake(node: ControlledNode): void {
  const { name, state, cordon } = node
  if (cordon !== undefined)
    throw new ShadowError('node-cordoned', `${name} is cordoned; nothing was changed`, {
      hint: `shadow node uncordon ${name}`,
    })
  if (state !== 'healthy')
    throw new ShadowError('node-unreachable', `${name} is ${state}; nothing was changed`, { hint: 'shadow node ls' })
  if (!canAttach(node, { driver: 'loop' }))
    throw new ShadowError('no-node', `${name} does not have the driver loop`, { hint: HAS_DRIVER.loop })
}

const nothingToMove = ({ name, task }: App, to: NodeName): ShadowError => {
  const why =
    task.volume === undefined
      ? `${name} has no volume`
      : `the volume of ${name} is not on the disk of a node: its driver is ${driverOf(task.volume)}`
  return new ShadowError('bad-input', `${why}, so there is nothing to move to ${to}`, {
    hint: 'it runs where a front places it; shadow node drain lets a node be left',
  })
}
