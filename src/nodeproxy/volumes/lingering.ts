import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import type { VolumeId } from '../../model/names.ts'
import { type Duration, toMs } from '../../model/quantities.ts'
import type { LeaseKeeper } from '../leases/lease-keeper.ts'
import type { BlockDrivers, VolumeRef } from './block-drivers.ts'

type Options = {
  /** How long a disk stays attached after its app fell asleep, where the app does not say; 0: not at all. */
  readonly detachAfterMs: number
  readonly volumes: BlockDrivers
  readonly leases: Pick<LeaseKeeper, 'release'>
  readonly clock: Clock
  readonly log: Log
}

type Kept = { readonly volume: VolumeRef; readonly end: Disposable }

const TRY_AGAIN_AFTER_MS = 30_000

/**
 * Disks of a cloud that stay attached for a while after their app fell asleep because nobody used it: its next wake need not attach them.
 * This node keeps the lease meanwhile, so fronts send the app here. A disk is given up when its time is over, and at once when another
 * node needs it, when its slot is needed, and when the app or the node ends. Only this object knows of it: after a restart the disk is
 * one that was left over, and is detached as such.
 */
export class Lingering {
  readonly #options: Options
  readonly #kept = new Map<VolumeId, Kept>()
  /** Instances that fall asleep in a way after which their disk may stay, and for how long. */
  readonly #mayKeep = new Map<InstanceId, number>()
  /** A wake waits for a detach that is under way. */
  readonly #turns = new KeyedMutex<VolumeId>()
  #isOver = false

  constructor(options: Options) {
    this.#options = options
  }

  /** Says, as a sleep begins, whether the disk may stay after it. `detachAfter`: for how long, where the app says so. */
  permit(instance: InstanceId, mayKeep: boolean, detachAfter?: Duration): void {
    if (mayKeep)
      this.#mayKeep.set(instance, detachAfter === undefined ? this.#options.detachAfterMs : toMs(detachAfter))
    else this.#mayKeep.delete(instance)
  }

  /** Keeps the disk of a volume that was unmounted, in place of detaching it; false if it is to be detached. */
  keep(instance: InstanceId, volume: VolumeRef): boolean {
    const { volumes, log } = this.#options
    const ms = this.#mayKeep.get(instance) ?? 0
    this.#mayKeep.delete(instance)
    const { expires, excludes } = volumes.termsOf(volume)
    // Storage that does not exclude a second holder must be let go of.
    if (ms === 0 || !expires || !excludes || this.#isOver) return false
    this.#add(volume, ms)
    log.info('volume stays attached', { volume: volume.id, ms })
    return true
  }

  has(volume: VolumeId): boolean {
    return this.#kept.has(volume)
  }

  /** The volume is woken or torn down by others from here on. Waits while it is being given up. */
  resume(volume: VolumeId): Promise<void> {
    return this.#turns.take(volume, async () => this.#drop(volume))
  }

  /** Detaches the disk now, and gives the lease up; does nothing for one that is not kept. A disk that does not detach is tried again. */
  giveUp(volume: VolumeId | undefined): Promise<void> {
    if (volume === undefined || !this.#kept.has(volume)) return Promise.resolve()
    return this.#turns.take(volume, async () => {
      const { volumes, leases, log } = this.#options
      const kept = this.#kept.get(volume)
      if (kept === undefined) return
      this.#drop(volume)
      try {
        await volumes.of(kept.volume).detach(volume)
      } catch (cause) {
        log.warn('volume that stayed attached not detached; tried again', { volume, cause })
        this.#add(kept.volume, TRY_AGAIN_AFTER_MS)
        return
      }
      await leases.release(volume)
      log.info('volume detached', { volume })
    })
  }

  /** Gives up disks, the longest kept first, until at most so many are kept besides this one. */
  async giveUpDownTo(most: number, besides?: VolumeId): Promise<void> {
    const others = [...this.#kept.keys()].filter(volume => volume !== besides)
    const surplus = others.slice(0, Math.max(0, others.length - Math.max(0, most)))
    await Promise.all(surplus.map(volume => this.giveUp(volume)))
  }

  /** Gives all up, and keeps none from now on: the node stops. */
  async close(): Promise<void> {
    this.#isOver = true
    await this.giveUpDownTo(0)
    for (const volume of this.#kept.keys()) this.#drop(volume)
  }

  #add(volume: VolumeRef, ms: number): void {
    this.#drop(volume.id)
    const end = this.#options.clock.after(ms, () => void this.giveUp(volume.id))
    this.#kept.set(volume.id, { volume, end })
  }

  #drop(volume: VolumeId): void {
    this.#kept.get(volume)?.end[Symbol.dispose]()
    this.#kept.delete(volume)
  }
}
