import { randomUUID } from 'node:crypto'
import { parseValue } from '../../api/parse-call.ts'
import { RegisterSchema } from '../../api/schemas.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { App, Volume } from '../../model/app.ts'
import type { Hostname } from '../../model/hostname.ts'
import type { AppName, SnapshotId, VolumeId } from '../../model/names.ts'
import { toBytes } from '../../model/quantities.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { driverOf, type TaskVolume } from '../../model/task.ts'
import { mustTake } from '../app-moves.ts'
import type { Found } from '../app-writes.ts'
import type { Apps } from '../apps.ts'
import { definitionOf } from '../definition.ts'
import type { Nodes } from '../nodes.ts'
import type { Records } from '../records.ts'
import type { Relay } from '../relay.ts'
import type { AppSecrets } from '../releases/app-secrets.ts'
import type { VolumeErasures } from '../volume-erasures.ts'
import type { Volumes } from '../volumes.ts'
import type { VolumeSnapshots } from './snapshots.ts'

type Parts = {
  readonly apps: Pick<Apps, 'find' | 'register'>
  readonly records: Pick<Records, 'read'>
  readonly nodes: Pick<Nodes, 'get'>
  readonly volumes: Pick<Volumes, 'beginImport' | 'endMove' | 'get'>
  readonly erasures: Pick<VolumeErasures, 'free'>
  readonly snapshots: VolumeSnapshots
  readonly relay: Pick<Relay, 'nodeClient' | 'nodeWithDriver'>
  readonly secrets: Pick<AppSecrets, 'values'>
  readonly log: Log
}
type Copied = { readonly app: AppName; readonly snapshot?: SnapshotId | undefined; readonly by: string }
type Asked = { readonly name: AppName; readonly snapshot?: SnapshotId | undefined; readonly by: string }

export type Forks = ReturnType<typeof volumeForks>

/** Makes volumes from snapshots of others, and apps with them. Their record is made as the one of an import: by one conditional write, when the bytes are there. */
export function volumeForks({ apps, records, nodes, volumes, erasures, snapshots, relay, secrets, log }: Parts) {
  const mustBeFree = async (name: AppName): Promise<void> => {
    if ((await records.read(name)).state === 'live')
      throw new ShadowError('already-exists', `an app is called ${name} already`, { hint: 'give another name' })
    const isThere = await volumes.get(name as string as VolumeId).then(
      () => true,
      error => !isFailure(error, 'not-found') && Promise.reject(error),
    )
    if (isThere)
      throw new ShadowError('already-exists', `a volume is called ${name} already`, {
        hint: `give another name, or delete its data: shadow volume rm ${name}`,
      })
  }

  /** Makes the volume `to`, which no app has yet, from the snapshot. */
  const make = async (
    to: VolumeId,
    size: TaskVolume['size'],
    snapshot: Snapshot,
    signal: AbortSignal,
  ): Promise<void> => {
    const driver = driverOf(snapshot)
    const node = await nodes.get(snapshot.node ?? (await relay.nodeWithDriver(driver, snapshot.volume)))
    mustTake(node, driver)
    const client = await relay.nodeClient(node.name)
    if (client === undefined) throw new ShadowError('node-unreachable', `the node ${node.name} is not known any more`)
    const move = randomUUID()
    const zone = driver === 'loop' || driver === 'pool' ? undefined : node.labels?.['zone']
    await volumes.beginImport(to, { id: move, to: node.name, size, driver, zone })
    try {
      const from = { volume: snapshot.volume, id: snapshot.id }
      const body = { move, from, sizeBytes: toBytes(size), ...(snapshot.driver && { driver: snapshot.driver }) }
      await client.call('forkVolume', { params: { volume: to }, body, signal })
    } catch (error) {
      await volumes.endMove(to, move)
      throw error
    }
  }

  /** Makes the volume from the snapshot, or from a new one, which is removed afterwards. False where the app has no data yet. */
  const fork = async (
    from: App,
    { name, snapshot: id, by }: Asked,
    signal: AbortSignal,
    given?: TaskVolume,
  ): Promise<boolean> => {
    const { volume } = from.task
    if (volume === undefined) {
      if (id !== undefined) throw new ShadowError('not-found', `${from.name} has no volume, and so no snapshot`)
      return false
    }
    const to = name as string as VolumeId
    if (given !== undefined && driverOf(given) !== driverOf(volume)) throw otherDriver(given, from.name, volume)
    const { size } = given ?? volume
    if (id !== undefined) {
      const snapshot = await snapshots.usable(volume.id, id, signal)
      await make(to, size, snapshot, signal)
      return true
    }
    const taken = await snapshots
      .take(volume.id, { by, reason: 'fork', note: `for the fork ${name}` }, signal)
      .catch(error => {
        if (isFailure(error, 'not-found')) return undefined // it has no data yet
        throw error
      })
    if (taken === undefined) return false
    try {
      await make(to, size, taken, signal)
    } finally {
      await snapshots
        .remove(volume.id, taken.id, { dryRun: false })
        .catch(cause => log.warn('snapshot of a fork not removed', { volume: volume.id, snapshot: taken.id, cause }))
    }
    return true
  }

  return {
    async volume(id: VolumeId, asked: Asked, signal: AbortSignal): Promise<Volume> {
      await mustBeFree(asked.name)
      const { app } = await apps.find(id as string as AppName)
      if (await fork(app, asked, signal)) return volumes.get(asked.name as string as VolumeId)
      throw new ShadowError('not-found', `${id} has no data yet`, { hint: `shadow wake ${id}` })
    },

    /** Makes the volume, which no app has yet, as a copy of another one. False where that has no data yet. Fails with `already-exists`, `changed`. */
    async copy(volume: TaskVolume, { app: name, snapshot, by }: Copied, signal: AbortSignal): Promise<boolean> {
      const { app } = await apps.find(name)
      return fork(app, { name: volume.id as string as AppName, snapshot, by }, signal, volume)
    },

    discard,

    /** Registers an app like this one, with its data. Of an app that cannot be registered nothing is left. */
    async app(
      name: AppName,
      { domains, ...asked }: Asked & { readonly domains?: readonly Hostname[] | undefined },
      signal: AbortSignal,
    ): Promise<Found> {
      const { app } = await apps.find(name)
      await mustBeFree(asked.name)
      const { access, scale, wake, pages, task } = app
      const definition = parseValue(RegisterSchema, {
        ...definitionOf({ task }),
        secrets: await secrets.values(app),
        name: asked.name,
        ...(domains !== undefined && { domains }),
        ...(access !== undefined && { access }),
        ...(scale !== undefined && { scale }),
        ...(wake !== undefined && { wake }),
        ...(pages !== undefined && { pages }),
      })
      const hasData = await fork(app, asked, signal)
      try {
        return await apps.register(definition, { by: 'register', who: asked.by }, task.pinned)
      } catch (error) {
        if (hasData) await discard(asked.name as string as VolumeId)
        throw error
      }
    },
  }

  async function discard(volume: VolumeId): Promise<void> {
    const signal = new AbortController().signal
    await erasures.free(volume, signal).catch(cause => log.warn('volume of a fork not removed', { volume, cause }))
  }
}

const otherDriver = (asked: TaskVolume, from: AppName, volume: TaskVolume): ShadowError =>
  new ShadowError(
    'bad-input',
    `the volume ${asked.id} has the driver ${driverOf(asked)}, and cannot be a copy of that of ${from}, which has ${driverOf(volume)}`,
  )
