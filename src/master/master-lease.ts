import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../lib/clock.ts'
import { isFailure } from '../lib/errors.ts'
import { type Leased, releaseLease, renewLease, takeLease } from '../model/lease.ts'
import type { NodeName } from '../model/names.ts'
import type { Storage } from './storage/storage.ts'

/** The lease is renewed when so much of its time is over. */
const RENEWED_AFTER = 1 / 3
/** Clocks of masters may differ by so much of its time: the lease is not relied on at its end. */
const MARGIN = 1 / 6

const StoredSchema = z.object({
  lease: z.object({ node: z.string(), epoch: z.int(), until: z.iso.datetime() }).nullable(),
  epoch: z.int(),
})

type Options = {
  readonly storage: Storage
  /** Of its document. */
  readonly key: string
  readonly lastsMs: number
  readonly clock: Clock
}

/** The right to do what one master alone shall do at a time. */
export class MasterLease {
  readonly #options: Options
  /** The rules of leases ask no more of a holder than that it has a name. */
  readonly #holder = randomUUID() as string as NodeName
  #epoch: number | undefined
  /** By `clock.now()`, counted from before the write. */
  #takenAt = 0
  /** Of several callers at once, one writes. */
  #holding: Promise<boolean> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Whether this master has the lease now, without asking the store. */
  get isHeld(): boolean {
    const { clock, lastsMs } = this.#options
    return this.#epoch !== undefined && clock.now() - this.#takenAt < lastsMs * (1 - MARGIN)
  }

  /** Takes or renews the lease; false: another master has it. */
  hold(): Promise<boolean> {
    this.#holding ??= this.#hold().finally(() => {
      this.#holding = undefined
    })
    return this.#holding
  }

  async #hold(): Promise<boolean> {
    const { storage, key, lastsMs, clock } = this.#options
    if (this.isHeld && clock.now() - this.#takenAt < lastsMs * RENEWED_AFTER) return true
    const began = clock.now()
    const stored = await storage.get(key)
    const now = (stored === undefined ? { lease: null, epoch: 0 } : StoredSchema.parse(stored.value)) as Leased
    const wall = clock.wall()
    const until = new Date(wall + lastsMs).toISOString()
    const renewed = this.#epoch === undefined ? undefined : renewLease(now, this.#holder, this.#epoch, until)
    const next = renewed ?? takeLease(now, this.#holder, until, wall)
    this.#epoch = undefined
    if (next === undefined) return false
    try {
      await (stored === undefined ? storage.create(key, next) : storage.update(key, next, stored.etag))
    } catch (error) {
      if (isFailure(error, 'changed', 'already-exists')) return false // another master was first
      throw error
    }
    this.#epoch = next.epoch
    this.#takenAt = began
    return true
  }

  /** Lets another master have it at once. */
  async release(): Promise<void> {
    const { storage, key } = this.#options
    const stored = this.#epoch === undefined ? undefined : await storage.get(key)
    if (stored === undefined || this.#epoch === undefined) return
    const now = StoredSchema.parse(stored.value) as Leased
    const next = releaseLease(now, this.#holder, this.#epoch)
    this.#epoch = undefined
    if (next !== now) await storage.update(key, next, stored.etag)
  }
}
