import { randomUUID } from 'node:crypto'
import { open, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../lib/clock.ts'
import { ShadowError, systemCode } from '../lib/errors.ts'
import type { Exec } from '../lib/exec.ts'
import type { StreamedResponse } from '../lib/http/exchange.ts'
import type { Log } from '../lib/log.ts'
import { sparseMap } from '../lib/sparse.ts'
import type { AppName, NodeName, VolumeId } from '../model/names.ts'
import { sayBytes } from '../model/quantities.ts'
import type { Instance } from './instance.ts'
import type { LeaseKeeper } from './leases/lease-keeper.ts'
import { imageOf } from './volume-arrivals.ts'
import { Sending } from './volume-sending.ts'
import type { BlockDrivers, VolumeRef } from './volumes/block-drivers.ts'
import { dataExtents } from './volumes/data-extents.ts'
import { FORMAT } from './volumes/image-frames.ts'
import { receiveImage } from './volumes/image-receiver.ts'
import { removeParts } from './volumes/loop-image.ts'
import { packSparse, sparseLength } from './volumes/sparse-image.ts'

type Options = {
  readonly node: NodeName
  readonly volumes: BlockDrivers
  readonly leases: LeaseKeeper
  /** The plain instance of the app. */
  readonly instanceOf: (app: AppName, permit?: string) => Promise<Pick<Instance, 'task' | 'volume' | 'whileAsleep'>>
  readonly exec: Exec
  readonly clock: Clock
  readonly log: Log
}

type Exported = { readonly volume: VolumeId; readonly app: AppName }

/** Bytes that are on their way to the copy. */
const AHEAD_BYTES = 2 ** 20

/**
 * Sends volumes to who exports them. A volume is copied on its own disk first, in passes while its app serves, then while it is asleep. So the
 * app waits for one reading of its data, and never for the reader of the export.
 */
export class VolumeExports {
  readonly #options: Options
  /** How many copies of each volume are made or read. */
  readonly #underWay = new Map<VolumeId, number>()

  constructor(options: Options) {
    this.#options = options
  }

  /** Answers with the image as a sparse file and its checksum; with 204 where the volume has no data yet. */
  async send(what: Exported, permit: string | undefined, response: StreamedResponse, signal: AbortSignal) {
    const { volume, app } = what
    const { volumes, exec, log } = this.#options
    const instance = await this.#instanceOf(what, permit)
    const ref = { id: volume, driver: instance.task.volume?.driver }
    const image = imageOf(volumes, ref)
    const onDisk = await bytesOf(image)
    if (onDisk === undefined) return void response.writeHead(204).end()
    await this.#mustHaveRoom(volume, image, onDisk)
    const part = await this.#begin(volume, image)
    try {
      await this.#copy({ ...what, ref, image, part, permit }, signal)
      await using file = await open(part)
      const { size } = await file.stat()
      const extents = await dataExtents(part, exec, { isAtRest: true })
      await rm(part) // the open file is read on, and nothing is left of it after a crash
      const map = sparseMap(extents, size)
      response.writeHead(200, {
        'content-type': 'application/octet-stream',
        'x-shadow-length': String(sparseLength(map, extents)),
        'x-shadow-size': String(size),
        'cache-control': 'no-store',
      })
      log.info('volume is exported', { app, volume, bytes: onDisk })
      await pipeline(Readable.from(packSparse(file, map, extents)), response, { signal })
    } finally {
      await rm(part, { force: true })
      this.#end(volume)
    }
  }

  /** Copies the image as it is at one moment, at which the app is asleep. */
  async #copy({ volume, app, ref, image, part, permit }: Copied, given: AbortSignal): Promise<void> {
    const { volumes, leases, exec } = this.#options
    const failed = new AbortController()
    const signal = AbortSignal.any([given, failed.signal])
    const frames = new PassThrough({ highWaterMark: AHEAD_BYTES })
    const sending = new Sending(this.#options, frames, signal)
    const copied = receiveImage(frames, part, { exec })
    copied.catch(error => failed.abort(error))
    try {
      await sending.put(FORMAT)
      await sending.whileItServes(image)
      const instance = await this.#instanceOf({ volume, app }, permit) // the app may have changed meanwhile
      await instance.whileAsleep(async () => {
        signal.throwIfAborted()
        // Without the lease another node could write to it now.
        const { lost } = await leases.take({ ...ref, ...volumes.termsOf(ref) }, signal)
        lost?.addEventListener('abort', () => failed.abort(lost.reason), { once: true })
        try {
          await volumes.of(ref).detach(volume)
          await sending.rest(image)
        } finally {
          if (volumes.expires(ref)) await leases.release(volume)
        }
      })
      await copied
    } finally {
      frames.destroy()
    }
  }

  async #instanceOf({ volume, app }: Exported, permit: string | undefined) {
    const instance = await this.#options.instanceOf(app, permit)
    if (instance.volume !== volume) throw new ShadowError('changed', `${app} does not have the volume ${volume}`)
    return instance
  }

  async #mustHaveRoom(volume: VolumeId, image: string, needed: number): Promise<void> {
    const { bavail, bsize } = await statfs(dirname(image))
    if (needed > bavail * bsize)
      throw new ShadowError(
        'disk-full',
        `the volume ${volume} has ${sayBytes(needed)} on disk, and the disk of ${this.#options.node} has room for ${sayBytes(bavail * bsize)}`,
        {
          hint: 'an export copies the volume on its own disk first: free space there (df -h), or move the app to another node',
        },
      )
  }

  /** The name of the new copy. Those that a killed run of this node has left are removed, if none is under way. */
  async #begin(volume: VolumeId, image: string): Promise<string> {
    const prefix = exportPrefix(this.#options.node)
    const others = this.#underWay.get(volume) ?? 0
    this.#underWay.set(volume, others + 1)
    if (others === 0) await removeParts(dirname(image), prefix)
    return `${dirname(image)}/${prefix}${randomUUID()}`
  }

  #end(volume: VolumeId): void {
    const left = (this.#underWay.get(volume) ?? 0) - 1
    if (left > 0) this.#underWay.set(volume, left)
    else this.#underWay.delete(volume)
  }
}

type Copied = Exported & {
  readonly ref: VolumeRef
  readonly image: string
  readonly part: string
  readonly permit: string | undefined
}

/** Begins the names of the copies that this node makes for exports. */
export const exportPrefix = (node: NodeName): string => `exporting-${node}-`

async function bytesOf(image: string): Promise<number | undefined> {
  try {
    return (await stat(image)).blocks * 512
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
