import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { MasterClient } from '../../api/client.ts'
import { permitHeaders } from '../../api/paths.ts'
import { bootNow } from '../../lib/boot-id.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError } from '../../lib/errors.ts'
import { readIfThere, syncFolder, writeWhole } from '../../lib/files.ts'
import type { Log } from '../../lib/log.ts'
import type { LeaseTimes } from '../../model/intervals.ts'
import type { NodeName, VolumeId } from '../../model/names.ts'
import type { VolumeDriver } from '../../model/task.ts'
import type { LeaseTerms, VolumeRef } from '../volumes/block-drivers.ts'
import { diskIdOf } from '../volumes/disk-id.ts'
import { leaseFileOf } from '../volumes/layout.ts'
import { AdvisoryLease } from './advisory-lease.ts'
import type { LeaseGuard } from './guard/guard.ts'
import type { HeldLease, LeaseKeeper } from './lease-keeper.ts'
import { Renewal } from './renewal.ts'

const Remembered = z.object({ node: z.string(), epoch: z.int() })

type Options = {
  readonly folder: string
  readonly node: NodeName
  /** The times of leases that expire. */
  readonly times: LeaseTimes
  /** Ends what uses the volume of a lease that this process does not renew, even while this process is stopped. */
  readonly guard: LeaseGuard
  readonly master: MasterClient
  /** The permit of the app that has the volume, if a front or a master has shown one. */
  readonly permitOf: (volume: VolumeId) => string | undefined
  readonly clock: Clock
  readonly log: Log
}

/** `kept`: without expiry. `advisory`: the storage itself excludes a second holder. */
export const LEASE_KINDS = ['kept', 'expiring', 'advisory'] as const
export type LeaseKind = (typeof LEASE_KINDS)[number]

type Kept = HeldLease & { readonly renewal: Renewal | AdvisoryLease | undefined }
type Taken = VolumeRef & LeaseTerms & { readonly isAttached?: boolean }
type Terms = Omit<Body, 'node' | 'boot'>
type Body = {
  node: NodeName
  forMs?: number
  epoch?: number
  driver?: VolumeDriver | undefined
  zone?: string
  disk?: string
  boot?: string
}

/**
 * Leases from the master. A lease without expiry is kept in a file beside the volume's image, so that later wakes need no master: the bytes
 * are here, and no other node can have them. A lease that expires is only in memory. The guard watches only what the storage itself does not
 * guard.
 */
export class Leases implements LeaseKeeper {
  readonly #options: Options
  readonly #held = new Map<VolumeId, Kept>()
  readonly #boot = bootNow()
  /** How many leases that expire were lost. */
  lost = 0
  #disk: Promise<string> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  async take(volume: Taken, signal: AbortSignal): Promise<HeldLease> {
    const held = this.#held.get(volume.id)
    if (held !== undefined && held.lost?.aborted !== true) return held
    if (volume.expires) return volume.excludes ? this.#takeAdvisory(volume, signal) : this.#takeForATime(volume, signal)
    const kept = await this.#takeForGood(volume, signal)
    this.#held.set(volume.id, kept)
    return kept
  }

  /** How many leases are held, of each kind. */
  get counts(): Readonly<Record<LeaseKind, number>> {
    const counts = { kept: 0, expiring: 0, advisory: 0 }
    for (const { renewal } of this.#held.values())
      counts[renewal === undefined ? 'kept' : renewal instanceof Renewal ? 'expiring' : 'advisory'] += 1
    return counts
  }

  async release(volume: VolumeId): Promise<void> {
    const { node, master, guard, log } = this.#options
    const held = this.#held.get(volume)
    held?.renewal?.[Symbol.dispose]()
    await held?.renewal?.settled() // else a renewal that is just answered would have the volume guarded again
    await guard.leave(volume)
    if (held?.renewal === undefined) return
    this.#held.delete(volume)
    const epoch = held.renewal instanceof AdvisoryLease ? held.renewal.epoch : held.epoch
    if (held.lost?.aborted || epoch === undefined) return
    await master
      .call('releaseVolume', { params: { volume }, query: { node, epoch } })
      .catch(error => log.warn('lease not given up; it expires', { volume, detail: asShadowError(error).message }))
  }

  async surrender(volume: VolumeId): Promise<void> {
    this.forget(volume)
    await rm(this.#file(volume), { force: true })
    await syncFolder(dirname(this.#file(volume)))
  }

  validUntil(volume: VolumeId): Float64Array | undefined {
    const renewal = this.#held.get(volume)?.renewal
    return renewal instanceof Renewal ? renewal.validUntil : undefined
  }

  forget(volume: VolumeId): void {
    this.#held.get(volume)?.renewal?.[Symbol.dispose]()
    this.#held.delete(volume)
  }

  async #takeForGood({ id: volume, driver }: VolumeRef, signal: AbortSignal): Promise<Kept> {
    const { node, log } = this.#options
    const remembered = await this.#remembered(volume)
    if (remembered !== undefined) return { epoch: remembered, lost: undefined, renewal: undefined }
    const disk = await this.#diskId()
    const epoch = await this.#ask(volume, { disk, ...(driver !== undefined && { driver }) })
    signal.throwIfAborted()
    await writeWhole(this.#file(volume), `${JSON.stringify({ node, epoch })}\n`)
    log.info('volume leased', { volume, epoch })
    return { epoch, lost: undefined, renewal: undefined }
  }

  async #takeForATime({ id: volume, driver }: VolumeRef, signal: AbortSignal): Promise<Kept> {
    const { clock, log, times, guard } = this.#options
    const forMs = times.lasts
    const askedAt = clock.now()
    const epoch = await this.#ask(volume, { forMs, driver })
    const renew = async (): Promise<void> => void (await this.#ask(volume, { forMs, epoch, driver }))
    const onRenewed = (askedAt: number): Promise<void> => {
      const gone = clock.now() - askedAt
      return guard.watch(volume, { fenceInMs: times.guardedFor - gone, endsInMs: times.lasts - gone })
    }
    const renewal = new Renewal({ volume, askedAt, renew, onRenewed, times, clock, log })
    renewal.lost.addEventListener('abort', () => this.lost++, { once: true })
    const kept = { epoch, lost: renewal.lost, renewal }
    // From here on whoever asked gives it up by `release`, also if this fails.
    this.#held.set(volume, kept)
    signal.throwIfAborted()
    await onRenewed(askedAt)
    log.info('volume leased', { volume, epoch, ms: forMs })
    return kept
  }

  async #takeAdvisory({ id: volume, driver, zone, isAttached }: Taken, signal: AbortSignal): Promise<Kept> {
    const { clock, log, times } = this.#options
    const terms = { forMs: times.lasts, driver, ...(zone !== undefined && { zone }) }
    const ask = (epoch: number | undefined): Promise<number> =>
      this.#ask(volume, { ...terms, ...(epoch !== undefined && { epoch }) })
    const epoch = isAttached ? undefined : await ask(undefined)
    const renewal = new AdvisoryLease({ volume, epoch, ask, times, clock, log })
    const kept = { epoch: epoch ?? 0, lost: undefined, renewal }
    // From here on whoever asked gives it up by `release`, also if this fails.
    this.#held.set(volume, kept)
    signal.throwIfAborted()
    log.info('volume leased', { volume, epoch, ms: times.lasts })
    return kept
  }

  async #ask(volume: VolumeId, terms: Terms): Promise<number> {
    const { node, master, permitOf } = this.#options
    const body: Body = { node, boot: this.#boot, ...terms }
    const headers = permitHeaders(permitOf(volume))
    const { lease } = await master.call('leaseVolume', { params: { volume }, body, headers })
    if (lease === null) throw new Error(`the master answered without a lease of ${volume}`)
    return lease.epoch
  }

  #diskId(): Promise<string> {
    this.#disk ??= diskIdOf(this.#options.folder).catch(error => {
      this.#disk = undefined
      throw error
    })
    return this.#disk
  }

  async #remembered(volume: VolumeId): Promise<number | undefined> {
    const text = await readIfThere(this.#file(volume))
    if (text === undefined) return undefined
    const found = Remembered.safeParse(parsed(text))
    return found.success && found.data.node === this.#options.node ? found.data.epoch : undefined
  }

  #file(volume: VolumeId): string {
    return leaseFileOf(this.#options.folder, volume)
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // the master is asked again
  }
}
