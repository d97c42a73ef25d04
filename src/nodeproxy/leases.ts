import { z } from 'zod'
import type { MasterClient } from '../api/client.ts'
import { permitHeaders } from '../api/paths.ts'
import { readIfThere, writeWhole } from '../lib/files.ts'
import type { Log } from '../lib/log.ts'
import type { NodeName, VolumeId } from '../model/names.ts'

const Remembered = z.object({ node: z.string(), epoch: z.int() })

type Options = {
  folder: string
  node: NodeName
  master: MasterClient
  /** The permit of the app that has the volume, if a front or a master has shown one. */
  permitOf: (volume: VolumeId) => string | undefined
  log: Log
}

/**
 * Leases of volumes. One that lasts until it is given up is remembered in a file beside the volume's image, so that later
 * wakes need no master: the bytes are here, and nobody else can have them.
 */
export class Leases {
  readonly #options: Options
  readonly #held = new Set<VolumeId>()

  constructor(options: Options) {
    this.#options = options
  }

  /** Makes sure that this node has the volume; fails with `volume-elsewhere`, `master-unreachable`. */
  async take(volume: VolumeId, signal: AbortSignal): Promise<void> {
    const { node, master, permitOf, log } = this.#options
    if (this.#held.has(volume)) return
    if (await this.#remembers(volume)) {
      this.#held.add(volume)
      return
    }
    const headers = permitHeaders(permitOf(volume))
    const { lease } = await master.call('leaseVolume', { params: { volume }, body: { node }, headers })
    signal.throwIfAborted()
    if (lease === null || lease.until !== null) return
    await writeWhole(this.#file(volume), `${JSON.stringify({ node, epoch: lease.epoch })}\n`)
    this.#held.add(volume)
    log.info('volume leased', { volume, epoch: lease.epoch })
  }

  /** Forgets a volume whose bytes were removed; its file goes with them. */
  forget(volume: VolumeId): void {
    this.#held.delete(volume)
  }

  async #remembers(volume: VolumeId): Promise<boolean> {
    const text = await readIfThere(this.#file(volume))
    if (text === undefined) return false
    const found = Remembered.safeParse(parsed(text))
    return found.success && found.data.node === this.#options.node
  }

  #file(volume: VolumeId): string {
    return `${this.#options.folder}/${volume}/lease.json`
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the master is asked again
  }
}
