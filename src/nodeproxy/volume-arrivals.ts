import { randomUUID } from 'node:crypto'
import { link, rename, rm, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { MasterClient } from '../api/client.ts'
import { deadline, orAborted } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { isFailure, isNoSpace, ShadowError, systemCode } from '../lib/errors.ts'
import type { Exec } from '../lib/exec.ts'
import { makeFolder, readIfThere, syncFolder, writeWhole } from '../lib/files.ts'
import type { Log } from '../lib/log.ts'
import type { KeyedMutex } from '../lib/mutex.ts'
import type { NodeName, VolumeId } from '../model/names.ts'
import { sayBytes } from '../model/quantities.ts'
import type { VolumeDriver } from '../model/task.ts'
import { STALLED_AFTER_MS } from './volume-sending.ts'
import type { BlockDriver } from './volumes/block-driver.ts'
import type { BlockDrivers, VolumeRef } from './volumes/block-drivers.ts'
import { receiveImage } from './volumes/image-receiver.ts'
import { folderOf } from './volumes/layout.ts'
import { removeParts } from './volumes/loop-image.ts'
import type { SnapshotRef } from './volumes/snapshots.ts'
import { unpackSparse } from './volumes/sparse-image.ts'

type Options = {
  /** The folder with the volumes on the disk of this machine. */
  readonly folder: string
  readonly node: NodeName
  readonly volumes: BlockDrivers
  readonly master: Pick<MasterClient, 'call' | 'raw'>
  /** What writes or removes the image of a volume takes turns. */
  readonly turns: KeyedMutex<VolumeId>
  readonly exec: Exec
  readonly clock: Clock
  readonly log: Log
}

type Received = {
  readonly volume: VolumeId
  readonly move: string
  readonly neededBytes: number
  /** What the volume may grow to. */
  readonly sizeBytes: number
}
/** How many bytes came, and for how long the app could not serve. */
type Arrived = { readonly receivedBytes: number; readonly heldMs: number }
/** An image that was exported: the size of the volume, and how many bytes of data it has. */
type Imported = {
  readonly volume: VolumeId
  readonly move: string
  readonly driver?: VolumeDriver | undefined
  readonly size: number
  readonly bytes: number
}
/** A volume that is made from a snapshot. */
type Forked = {
  readonly volume: VolumeId
  readonly move: string
  readonly driver?: VolumeDriver | undefined
  readonly from: SnapshotRef
  readonly sizeBytes: number
}
type Arriving = { readonly volume: VolumeId; readonly image: string; readonly neededBytes: number }
type Named = { readonly volume: VolumeId; readonly image: string; readonly move: string }

/** Begins the names of copies that are not whole yet. */
export const ARRIVING = 'moving-'
const SILENT = new ShadowError('node-unreachable', 'the sender of the volume sends no more bytes')

/** The file with the bytes of the volume. Fails with `bad-input` for one that is in no file. */
export function imageOf(volumes: BlockDrivers, volume: VolumeRef): string {
  const file = volumes.of(volume).file?.(volume.id)
  if (file === undefined) throw new ShadowError('bad-input', `the volume ${volume.id} is in no file of this machine`)
  return file
}

/** Volumes that come to this node, from another node or from an archive. Each is whole under its name before its lease is taken over. */
export class VolumeArrivals {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /** Copies the volume from the node that has it, by way of the master, and takes its lease over. */
  receive(what: Received, signal: AbortSignal): Promise<Arrived> {
    return this.#options.turns.take(what.volume, () => this.#receive(what, signal))
  }

  /** Writes the image of a volume that was exported, and takes the lease of the new volume. Its stream ends with its checksum. */
  import({ volume, move, driver, size, bytes }: Imported, stream: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#options.turns.take(volume, async () => {
      const { volumes, log } = this.#options
      const image = imageOf(volumes, { id: volume, driver })
      await this.#mustTake({ volume, image, neededBytes: bytes, size })
      await this.#arrive({ volume, image, neededBytes: bytes }, async part => {
        await unpackSparse(stream, part, size)
        await this.#place({ volume, move, driver, image }, part)
      })
      log.info('volume imported', { volume, bytes })
    })
  }

  /** Makes a volume from a snapshot that this node reaches, and takes its lease, as an import does. */
  fork({ volume, move, driver, from, sizeBytes }: Forked, signal: AbortSignal): Promise<void> {
    return this.#options.turns.take(volume, async () => {
      const { node, volumes, master, log } = this.#options
      const block = volumes.of({ id: volume, driver })
      await this.#mustBeDetached(volume)
      await master.call('checkMovedVolume', { params: { volume }, query: { node, move } })
      if (driver === undefined)
        await rm(imageOf(volumes, { id: volume }), { force: true }) // see `#place`
      else await mustNotBeThere(block, volume, signal)
      await writeWhole(this.#mark(volume), `${JSON.stringify({ move, driver })}\n`)
      const format = (): Promise<void> => Promise.resolve() // it has the bytes of the snapshot
      await block.create(volume, sizeBytes, format, signal, { from }).catch(async error => {
        await rm(this.#mark(volume), { force: true })
        throw error
      })
      await this.#take({ volume, move }, () => block.remove(volume))
      await rm(this.#mark(volume), { force: true })
      log.info('volume forked', { volume, from: from.volume, snapshot: from.id })
    })
  }

  /**
   * Finishes an import that a run before this one has brought to its last step: the master says whether it counts. The caller has the turn
   * of the volume.
   */
  async settle(volume: VolumeId): Promise<void> {
    const { node, master, volumes, log } = this.#options
    const text = await readIfThere(this.#mark(volume))
    if (text === undefined) return
    const { move, driver } = JSON.parse(text) as Pick<Imported, 'move' | 'driver'>
    const isOff = await master.call('takeMovedVolume', { params: { volume }, body: { node, move } }).then(
      () => false,
      error => isFailure(error, 'changed', 'not-found') || Promise.reject(error),
    )
    // In a pool another node may have brought a volume of this name since.
    if (isOff && driver === undefined) await volumes.of({ id: volume }).remove(volume)
    await rm(this.#mark(volume), { force: true })
    log.info('import of an earlier run settled', { volume, counts: !isOff })
  }

  /** Gives the image its name, and has the volume made. The mark tells a later run that the answer may not have come. */
  async #place({ volume, move, driver, image }: Named & Pick<Imported, 'driver'>, part: string): Promise<void> {
    const { node, master, volumes } = this.#options
    const block = volumes.of({ id: volume, driver })
    await master.call('checkMovedVolume', { params: { volume }, query: { node, move } })
    // The masters know of no volume of this name: an image of it on this disk was left by what was called off.
    if (driver === undefined) {
      await this.#mustBeDetached(volume)
      await rm(image, { force: true })
    }
    await writeWhole(this.#mark(volume), `${JSON.stringify({ move, driver })}\n`)
    await link(part, image).catch(error => {
      throw systemCode(error) === 'EEXIST' ? isThere(volume) : error
    })
    await this.#takeOver({ volume, move, image }, () => block.remove(volume))
    await rm(this.#mark(volume), { force: true })
  }

  #mark(volume: VolumeId): string {
    return `${folderOf(this.#options.folder, volume)}/importing.json`
  }

  async #receive({ volume, move, neededBytes, sizeBytes }: Received, signal: AbortSignal): Promise<Arrived> {
    const { node, volumes, master, exec, clock, log } = this.#options
    const image = imageOf(volumes, { id: volume })
    await this.#mustTake({ volume, image, neededBytes, size: sizeBytes })
    const { body } = await master.raw('readMovedVolume', { params: { volume }, query: { node, move }, signal })
    let stoppedAt = clock.now()
    const onStopping = (): void => {
      stoppedAt = clock.now()
    }
    try {
      return await this.#arrive({ volume, image, neededBytes }, async part => {
        const { receivedBytes } = await receiveImage(notSilent(body, clock), part, { exec, onStopping })
        signal.throwIfAborted()
        // Under its name before the lease is taken: a node that has the lease and finds no image would make an empty one.
        await rename(part, image)
        await this.#takeOver({ volume, move, image }, () => rm(image, { force: true }))
        const heldMs = clock.now() - stoppedAt
        log.info('volume received', { volume, bytes: receivedBytes, ms: heldMs })
        return { receivedBytes, heldMs }
      })
    } finally {
      body.destroy() // the sender waits for this
    }
  }

  /** Fails with `disk-full` if the disk has no room for the volume; with `volume-in-use` if this node uses it. */
  async #mustTake({ volume, image, neededBytes, size }: Arriving & { readonly size: number }): Promise<void> {
    const { node } = this.#options
    await makeFolder(dirname(image))
    const { bavail, blocks, bsize } = await statfs(dirname(image))
    if (size > blocks * bsize)
      throw new ShadowError(
        'disk-full',
        `the volume ${volume} of ${sayBytes(size)} is larger than the disk of ${node}, which has ${sayBytes(blocks * bsize)}; nothing was changed`,
        { hint: 'take a node with a larger disk' },
      )
    if (neededBytes > bavail * bsize) throw noRoom(node, volume, neededBytes, bavail * bsize)
    await this.#mustBeDetached(volume)
  }

  async #mustBeDetached(volume: VolumeId): Promise<void> {
    const { node, volumes } = this.#options
    if ((await volumes.attached()).some(({ id }) => id === volume))
      throw new ShadowError('volume-in-use', `the volume ${volume} is attached to ${node}`)
  }

  /** Has `bring` write the image to a file that is removed if it has not got its name. */
  async #arrive<T>({ volume, image, neededBytes }: Arriving, bring: (part: string) => Promise<T>): Promise<T> {
    const folder = dirname(image)
    await makeFolder(folder)
    await removeParts(folder, ARRIVING)
    const part = `${folder}/${ARRIVING}${randomUUID()}`
    try {
      return await bring(part)
    } catch (error) {
      if (isNoSpace(error)) throw noRoom(this.#options.node, volume, neededBytes, 0)
      throw error
    } finally {
      await rm(part, { force: true })
    }
  }

  async #takeOver({ volume, move, image }: Named, undo: () => Promise<void>): Promise<void> {
    await syncFolder(dirname(image))
    await syncFolder(dirname(dirname(image)))
    await this.#take({ volume, move }, undo)
  }

  async #take({ volume, move }: Pick<Named, 'volume' | 'move'>, undo: () => Promise<void>): Promise<void> {
    const { node, master } = this.#options
    try {
      await master.call('takeMovedVolume', { params: { volume }, body: { node, move } })
    } catch (error) {
      // Of any other failure nobody knows whether the lease was taken: the image stays, and does no harm without the lease.
      if (isFailure(error, 'changed', 'not-found')) await undo()
      throw error
    }
  }
}

/** The stream, which fails where its sender is silent for too long. */
async function* notSilent(stream: AsyncIterable<Uint8Array>, clock: Clock): AsyncGenerator<Uint8Array> {
  const bytes = stream[Symbol.asyncIterator]()
  for (;;) {
    using limit = deadline(clock, STALLED_AFTER_MS, () => SILENT)
    const { done, value } = await orAborted(bytes.next(), limit.signal)
    if (done === true) return
    yield value
  }
}

/** Fails with `already-exists` where the storage has a volume of this name. */
async function mustNotBeThere(block: BlockDriver, volume: VolumeId, signal: AbortSignal): Promise<void> {
  const isMissing = await block.attach(volume, signal).then(
    () => false,
    error => isFailure(error, 'not-found') || Promise.reject(error),
  )
  if (isMissing) return
  await block.detach(volume)
  throw isThere(volume)
}

const isThere = (volume: VolumeId): ShadowError =>
  new ShadowError('already-exists', `there is an image of a volume ${volume} that the masters do not know`, {
    hint: 'look at it, and remove it, or import under another name: --as NAME',
  })

const noRoom = (node: NodeName, volume: VolumeId, needed: number, free: number): ShadowError =>
  new ShadowError(
    'disk-full',
    `the volume ${volume} has ${sayBytes(needed)} on disk, and the disk of ${node} has room for ${sayBytes(free)}`,
    { hint: 'free space there (df -h), or move it to another node; it is as it was' },
  )
