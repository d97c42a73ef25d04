import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readdir, rename, rm, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { MasterClient } from '../api/client.ts'
import { deadline, pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError, isFailure, ShadowError } from '../lib/errors.ts'
import { isNoSpace, makeFolder, readIfThere, syncFolder, writeWhole } from '../lib/files.ts'
import type { StreamedResponse } from '../lib/http/exchange.ts'
import type { Log } from '../lib/log.ts'
import { KeyedMutex } from '../lib/mutex.ts'
import { type AppName, type NodeName, type VolumeId, volumeId } from '../model/names.ts'
import { sayBytes } from '../model/quantities.ts'
import type { Instance } from './instance.ts'
import type { LeaseKeeper } from './leases/lease-keeper.ts'
import type { BlockDrivers } from './volumes/block-drivers.ts'
import { packImage, unpackImage } from './volumes/image-stream.ts'
import { folderOf, leaseFileOf } from './volumes/layout.ts'
import { removeParts } from './volumes/loop-image.ts'

type Options = {
  /** The folder with the volumes on the disk of this machine. */
  readonly folder: string
  readonly node: NodeName
  readonly volumes: BlockDrivers
  readonly leases: LeaseKeeper
  readonly master: Pick<MasterClient, 'call' | 'raw'>
  /** The plain instance of the app. */
  readonly instanceOf: (app: AppName, permit?: string) => Promise<Pick<Instance, 'volume' | 'whileAsleep'>>
  readonly clock: Clock
  readonly log: Log
}

type Sent = { readonly volume: VolumeId; readonly app: AppName }
type Received = { readonly volume: VolumeId; readonly move: string; readonly neededBytes: number }

/** Begins the names of copies that are not whole yet. */
const PART = 'moving-'
/** In the folder of a volume whose lease this node does not use since a move of it began. */
const MARK = 'moving.json'
/** How long the old node waits for the new one after the last byte. Any time is safe: the move is called off then. */
const SWITCHED_WITHIN_MS = 60_000
const BEAT_EVERY_MS = 100
/** A receiver that takes no byte for so long is gone; its machine may have lost its power. */
const STALLED_AFTER_MS = 30_000
const STALLED = new ShadowError('node-unreachable', 'the receiver of the volume takes no more bytes')

/**
 * Moves of volumes on the disk of a node, both ends. A volume is whole at one place at any time, whoever dies: the node that sends it gives up
 * the use of its lease before the first byte, so it must ask the master before it writes again, and that calls the move off. The node that
 * receives it has the whole image under its name before it takes the lease over.
 */
export class VolumeMoves {
  readonly #options: Options
  /** What writes or removes the image of a volume takes turns, so that no late clean-up removes what a move back has brought. */
  readonly #turns = new KeyedMutex<VolumeId>()

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * Puts the app to sleep, and sends the image of its volume. Wakes wait until the receiver has closed the stream. Then either the lease is
   * the receiver's, and the bytes here are removed, or the move is called off.
   */
  async send({ volume, app }: Sent, permit: string | undefined, response: StreamedResponse, signal: AbortSignal) {
    const { volumes, leases, instanceOf, log } = this.#options
    const instance = await instanceOf(app, permit)
    if (instance.volume !== volume) throw new ShadowError('changed', `${app} does not have the volume ${volume}`)
    const image = this.#imageOf(volume)
    await instance.whileAsleep(async () => {
      signal.throwIfAborted()
      await volumes.of({ id: volume }).detach(volume)
      await writeWhole(this.#mark(volume), `${JSON.stringify({ app })}\n`)
      try {
        await leases.surrender(volume)
        log.info('volume is sent', { app, volume })
        response.writeHead(200, { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' })
        response.flushHeaders()
        for await (const bytes of packImage(image)) {
          signal.throwIfAborted()
          if (!response.write(bytes)) await this.#drained(response, signal)
        }
        await this.#untilClosed(response, signal)
      } finally {
        await this.#settle(volume)
      }
    })
    response.end()
  }

  /** Copies the volume from the node that has it, by way of the master, and takes its lease over. The app is asleep on this node. */
  receive(what: Received, signal: AbortSignal): Promise<void> {
    return this.#turns.take(what.volume, () => this.#receive(what, signal))
  }

  /** Finishes what a run before this one left: of each volume that it was sending, the master says whose it is now. */
  async recover(): Promise<void> {
    const { folder, instanceOf, log } = this.#options
    for (const name of await readdir(folder).catch(() => [])) {
      await this.#turns.take(
        name as VolumeId,
        () => removeParts(`${folder}/${name}`, PART).catch(() => undefined), // it may be no folder
      )
      const mark = await readIfThere(`${folder}/${name}/${MARK}`)
      if (mark === undefined) continue
      // A wake has asked the master since: the lease is used again.
      const isUsed = (await readIfThere(leaseFileOf(folder, name as VolumeId))) !== undefined
      const { app } = JSON.parse(mark) as { app: AppName }
      if (isUsed) await rm(`${folder}/${name}/${MARK}`, { force: true })
      else
        await instanceOf(app)
          .then(instance => instance.whileAsleep(() => this.#settle(volumeId(name))))
          .catch(cause => log.warn('volume that was being moved: not settled yet', { volume: name, cause }))
    }
  }

  async #receive({ volume, move, neededBytes }: Received, signal: AbortSignal): Promise<void> {
    const { node, volumes, master, log } = this.#options
    const image = this.#imageOf(volume)
    const folder = dirname(image)
    await makeFolder(folder)
    const { bavail, bsize } = await statfs(folder)
    if (neededBytes > bavail * bsize) throw noRoom(node, volume, neededBytes, bavail * bsize)
    if ((await volumes.attached()).some(({ id }) => id === volume))
      throw new ShadowError('volume-in-use', `the volume ${volume} is attached to ${node}`)
    await removeParts(folder, PART)
    const part = `${folder}/${PART}${randomUUID()}`
    const { body } = await master.raw('readMovedVolume', { params: { volume }, query: { node, move }, signal })
    try {
      await unpackImage(body, part)
      signal.throwIfAborted()
      // Under its name before the lease is taken: a node that has the lease and finds no image would make an empty one.
      await rename(part, image)
      await syncFolder(folder)
      await syncFolder(dirname(folder))
      await this.#takeOver(volume, move, image)
      log.info('volume received', { volume })
    } catch (error) {
      if (isNoSpace(error)) throw noRoom(node, volume, neededBytes, 0)
      throw error
    } finally {
      await rm(part, { force: true })
      body.destroy() // the sender waits for this
    }
  }

  async #takeOver(volume: VolumeId, move: string, image: string): Promise<void> {
    const { node, master } = this.#options
    try {
      await master.call('takeMovedVolume', { params: { volume }, body: { node, move } })
    } catch (error) {
      // Of any other failure nobody knows whether the lease was taken: the image stays, and does no harm without the lease.
      if (isFailure(error, 'changed', 'not-found')) await rm(image, { force: true })
      throw error
    }
  }

  async #drained(response: StreamedResponse, signal: AbortSignal): Promise<void> {
    using limit = deadline(this.#options.clock, STALLED_AFTER_MS, () => STALLED)
    await once(response, 'drain', { signal: AbortSignal.any([signal, limit.signal]) })
  }

  /** A peer that has closed the connection is noticed by a write. Nobody reads these bytes. */
  async #untilClosed(response: StreamedResponse, signal: AbortSignal): Promise<void> {
    for (let ms = 0; ms < SWITCHED_WITHIN_MS && !signal.aborted; ms += BEAT_EVERY_MS) {
      response.write('.')
      await pause(this.#options.clock, BEAT_EVERY_MS, signal).catch(() => undefined) // it is closed: the loop ends
    }
  }

  /** Asks the master whose the volume is. To ask calls off a move that is under way. The caller has the turn of the instance. */
  #settle(volume: VolumeId): Promise<void> {
    return this.#turns.take(volume, () => this.#settleNow(volume))
  }

  async #settleNow(volume: VolumeId): Promise<void> {
    const { volumes, leases, log } = this.#options
    try {
      await leases.take({ id: volume, expires: false, excludes: true }, AbortSignal.timeout(SWITCHED_WITHIN_MS))
      log.info('volume stays here', { volume })
    } catch (error) {
      if (!isFailure(error, 'volume-elsewhere'))
        return log.warn('volume not settled; the next wake or start asks again', {
          volume,
          detail: asShadowError(error).message,
        })
      await volumes.of({ id: volume }).remove(volume)
      leases.forget(volume)
      log.info('volume has moved', { volume, to: error.details.facts?.['node'] })
    }
    await rm(this.#mark(volume), { force: true })
  }

  #imageOf(volume: VolumeId): string {
    const file = this.#options.volumes.of({ id: volume }).file?.(volume)
    if (file === undefined) throw new ShadowError('bad-input', `the volume ${volume} is in no file of this machine`)
    return file
  }

  #mark(volume: VolumeId): string {
    return `${folderOf(this.#options.folder, volume)}/${MARK}`
  }
}

const noRoom = (node: NodeName, volume: VolumeId, needed: number, free: number): ShadowError =>
  new ShadowError(
    'disk-full',
    `the volume ${volume} has ${sayBytes(needed)} on disk, and the disk of ${node} has room for ${sayBytes(free)}`,
    { hint: 'free space there (df -h), or move it to another node; it is as it was' },
  )
