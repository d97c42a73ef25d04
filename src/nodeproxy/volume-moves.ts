import { readdir, rm } from 'node:fs/promises'
import type { MasterClient } from '../api/client.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError, isFailure, ShadowError } from '../lib/errors.ts'
import type { Exec } from '../lib/exec.ts'
import { readIfThere, writeWhole } from '../lib/files.ts'
import type { StreamedResponse } from '../lib/http/exchange.ts'
import type { Log } from '../lib/log.ts'
import { KeyedMutex } from '../lib/mutex.ts'
import { type AppName, type NodeName, type VolumeId, volumeId } from '../model/names.ts'
import type { MoveProgress } from '../model/volume-move.ts'
import type { Instance } from './instance.ts'
import type { LeaseKeeper } from './leases/lease-keeper.ts'
import { ARRIVING, imageOf, VolumeArrivals } from './volume-arrivals.ts'
import { exportPrefix } from './volume-exports.ts'
import { Sending, SWITCHED_WITHIN_MS } from './volume-sending.ts'
import type { BlockDrivers } from './volumes/block-drivers.ts'
import { FORMAT, frame, KIND } from './volumes/image-frames.ts'
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
  readonly exec: Exec
  readonly clock: Clock
  readonly log: Log
}

type Sent = { readonly volume: VolumeId; readonly app: AppName }
/** In the folder of a volume whose lease this node does not use since a move of it began. */
const MARK = 'moving.json'

/**
 * Moves of volumes on the disk of a node, both ends. A volume is whole at one place at any time, whoever dies: the node that sends it gives up
 * the use of its lease before the last pass, so it must ask the master before it writes again, and that calls the move off. The node that
 * receives it has the whole image under its name before it takes the lease over.
 */
export class VolumeMoves {
  readonly #options: Options
  /** What writes or removes the image of a volume takes turns, so that no late clean-up removes what a move back has brought. */
  readonly #turns = new KeyedMutex<VolumeId>()
  readonly #sending = new Map<VolumeId, Sending>()
  /** What comes to this node. */
  readonly arrivals: VolumeArrivals

  constructor(options: Options) {
    this.#options = options
    this.arrivals = new VolumeArrivals({ ...options, turns: this.#turns })
  }

  /**
   * Sends the image of a volume while its app serves, and again what has changed meanwhile. For the last pass it puts the app to sleep; wakes
   * wait then until the receiver has closed the stream. Either the lease is the receiver's, and the bytes here are removed, or the move is
   * called off. Fails with `volume-in-use` while the volume is sent already.
   */
  async send(what: Sent, permit: string | undefined, response: StreamedResponse, signal: AbortSignal) {
    const { volume, app } = what
    await this.#instanceOf(what, permit)
    if (this.#sending.has(volume)) throw new ShadowError('volume-in-use', `the volume ${volume} is being moved already`)
    const sending = new Sending(this.#options, response, signal)
    this.#sending.set(volume, sending)
    try {
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' })
      await sending.put(FORMAT)
      const image = imageOf(this.#options.volumes, { id: volume })
      await sending.whileItServes(image)
      const instance = await this.#instanceOf(what, permit) // the app may have changed meanwhile
      await sending.put(frame(KIND.stopping))
      using _ = sending.beats()
      await instance.whileAsleep(() => this.#sendRest(volume, app, sending))
    } catch (error) {
      if (!(await sending.fail(error))) throw error
      this.#options.log.warn('volume not moved', { app, volume, cause: error })
    } finally {
      this.#sending.delete(volume)
    }
    response.end()
  }

  /** How far the move of a volume is that this node sends; null where it sends none. */
  progress(volume: VolumeId): MoveProgress | null {
    return this.#sending.get(volume)?.progress ?? null
  }

  /** The last pass, with the turn of the instance. */
  async #sendRest(volume: VolumeId, app: AppName, sending: Sending): Promise<void> {
    const { volumes, leases, log } = this.#options
    sending.signal.throwIfAborted()
    await volumes.of({ id: volume }).detach(volume)
    await writeWhole(this.#mark(volume), `${JSON.stringify({ app })}\n`)
    try {
      await leases.surrender(volume)
      await sending.rest(imageOf(this.#options.volumes, { id: volume }))
      log.info('volume sent', { app, volume, bytes: sending.progress.sentBytes })
      await sending.untilClosed()
    } finally {
      await this.#settle(volume)
    }
  }

  async #instanceOf({ volume, app }: Sent, permit: string | undefined) {
    const instance = await this.#options.instanceOf(app, permit)
    if (instance.volume !== volume) throw new ShadowError('changed', `${app} does not have the volume ${volume}`)
    return instance
  }

  /** Finishes what a run before this one left: of each volume that it was sending, the master says whose it is now. */
  async recover(): Promise<void> {
    const { folder, node, instanceOf, log } = this.#options
    for (const name of await readdir(folder).catch(() => [])) {
      for (const prefix of [ARRIVING, exportPrefix(node)])
        await this.#turns.take(
          name as VolumeId,
          () => removeParts(`${folder}/${name}`, prefix).catch(() => undefined), // it may be no folder
        )
      await this.#turns
        .take(name as VolumeId, () => this.arrivals.settle(name as VolumeId))
        .catch(cause =>
          log.warn('import of an earlier run not settled; the next start tries again', { volume: name, cause }),
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

  #mark(volume: VolumeId): string {
    return `${folderOf(this.#options.folder, volume)}/${MARK}`
  }
}
