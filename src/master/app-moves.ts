import { randomUUID } from 'node:crypto'
import { orAborted } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import type { NodeName } from '../model/names.ts'
import { canAttach } from '../model/placement.ts'
import { toBytes } from '../model/quantities.ts'
import { driverOf, HAS_DRIVER, type VolumeDriver } from '../model/task.ts'
import { volumeLost } from '../model/volume-lost.ts'
import type { AppCompanions } from './companions.ts'
import { watchNode } from './node-watch.ts'
import type { ControlledNode, Nodes } from './nodes.ts'
import type { Relay } from './relay.ts'
import type { Volumes } from './volumes.ts'

type Parts = {
  readonly nodes: Pick<Nodes, 'get'>
  readonly volumes: Pick<Volumes, 'placeOf' | 'movingOf' | 'beginMove' | 'endMove'>
  readonly companions: Pick<AppCompanions, 'mustMoveAlone'>
  readonly relay: Pick<Relay, 'onDiskBytes' | 'receiveVolume' | 'moveFrom'>
  readonly clock: Clock
}
type Moved = {
  app: App['name']
  from: NodeName | null
  to: NodeName
  moved: boolean
  onDiskBytes?: number
  copiedBytes?: number
  heldMs?: number
}

export type AppMoves = ReturnType<typeof appMoves>

/**
 * Moves an app whose volume is on the disk of a node. All that can be checked is checked before the app is stopped. After any failure the
 * volume is whole where the lease is: at the old node, unless the new one has taken it over.
 */
export function appMoves({ nodes, volumes, companions, relay, clock }: Parts) {
  const progress = async ({ task }: App) => {
    const id = task.volume?.id
    const moving = id && (await volumes.movingOf(id))
    if (id === undefined || moving === undefined || moving.from === null) return null
    const now = await relay.moveFrom(moving.from, id)
    return now && { ...now, from: moving.from, to: moving.to }
  }

  const move = async (app: App, to: NodeName, signal: AbortSignal): Promise<Moved> => {
    const { name, task } = app
    if (task.volume === undefined || driverOf(task.volume) !== 'loop') throw nothingToMove(app, to)
    const { id } = task.volume
    const target = await nodes.get(to)
    const place = await volumes.placeOf(id)
    if (place.isLost && place.node !== null) throw volumeLost(name, place.node)
    const from = place.node
    if (from === null || from === to) return { app: name, from, to, moved: false }
    mustTake(target, 'loop')
    await companions.mustMoveAlone(app)
    const underWay = await progress(app)
    if (underWay !== null) throw isMoving(name, underWay.to)
    const neededBytes = await relay.onDiskBytes(from, id)
    const sizeBytes = toBytes(task.volume.size)
    const move = randomUUID()
    await volumes.beginMove(id, { id: move, from, to })
    const moved = { app: name, from, to, moved: true, onDiskBytes: neededBytes }
    try {
      const gone = new AbortController()
      using _ = watchNode({ node: to, nodes, clock, what: 'the move was called off' }, error => gone.abort(error))
      const until = AbortSignal.any([signal, gone.signal])
      const asked = relay.receiveVolume(target, id, { move, neededBytes, sizeBytes }, until)
      const { receivedBytes, heldMs } = await orAborted(asked, until)
      return { ...moved, copiedBytes: receivedBytes, heldMs }
    } catch (error) {
      await volumes.endMove(id, move)
      if ((await volumes.placeOf(id)).node !== to) throw error
      return moved // the node has taken it over, and its answer was lost
    }
  }

  return { move, progress }
}

/** Fails if the node cannot take a volume of this driver now. */
export function mustTake(node: ControlledNode, driver: VolumeDriver): void {
  const { name, state, cordon } = node
  if (cordon !== undefined)
    throw new ShadowError('node-cordoned', `${name} is cordoned; nothing was changed`, {
      hint: `shadow node uncordon ${name}`,
    })
  if (state !== 'healthy')
    throw new ShadowError('node-unreachable', `${name} is ${state}; nothing was changed`, { hint: 'shadow node ls' })
  if (!canAttach(node, { driver }))
    throw new ShadowError('no-node', `${name} does not have the driver ${driver}`, { hint: HAS_DRIVER[driver] })
}

const isMoving = (app: App['name'], to: NodeName): ShadowError =>
  new ShadowError('volume-in-use', `${app} is being moved to ${to}`, {
    hint: 'wait until it is there, or end that command: then it stays where it is',
  })

const nothingToMove = ({ name, task }: App, to: NodeName): ShadowError => {
  const why =
    task.volume === undefined
      ? `${name} has no volume`
      : `the volume of ${name} is not on the disk of a node: its driver is ${driverOf(task.volume)}`
  return new ShadowError('bad-input', `${why}, so there is nothing to move to ${to}`, {
    hint: 'it runs where a front places it; shadow node drain lets a node be left',
  })
}
