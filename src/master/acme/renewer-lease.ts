import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import { type Leased, releaseLease, renewLease, takeLease } from '../../model/lease.ts'
import type { NodeName } from '../../model/names.ts'
import type { Storage } from '../storage/storage.ts'

const KEY = 'acme/renewer.json'
const LASTS_MS = 60_000
const RENEWED_AFTER_MS = 20_000
/** Clocks of masters may differ by so much: the lease is not relied on in its last seconds. */
const MARGIN_MS = 10_000

const StoredSchema = z.object({
  lease: z.object({ node: z.string(), epoch: z.int(), until: z.iso.datetime() }).nullable(),
  epoch: z.int(),
})

/** The right to order certificates: one master at a time has it. */
export class RenewerLease {
  readonly #storage: Storage
  readonly #clock: Clock
  /** The rules of leases ask no more of a holder than that it has a name. */
  readonly #holder = randomUUID() as string as NodeName
  #epoch: number | undefined
  /** By `clock.now()`, counted from before the write. */
  #takenAt = 0
  /** Of several callers at once, one writes. */
  #holding: Promise<boolean> | undefined

  constructor(storage: Storage, clock: Clock) {
    this.#storage = storage
    this.#clock = clock
  }

  /** Whether this master has the lease now, without asking the store. */
  get isHeld(): boolean {
    return this.#epoch !== undefined && this.#clock.now() - this.#takenAt < LASTS_MS - MARGIN_MS
  }

  /** Takes or renews the lease; false: another master has it. */
  hold(): Promise<boolean> {
    this.#holding ??= this.#hold().finally(() => {
      this.#holding = undefined
    })
    return this.#holding
  }

  async #hold(): Promise<boolean> {
    if (this.isHeld && this.#clock.now() - this.#takenAt < RENEWED_AFTER_MS) return true
    const began = this.#clock.now()
    const stored = await this.#storage.get(KEY)
    const now = (stored === undefined ? { lease: null, epoch: 0 } : StoredSchema.parse(stored.value)) as Leased
    const wall = this.#clock.wall()
    const until = new Date(wall + LASTS_MS).toISOString()
    const renewed = this.#epoch === undefined ? undefined : renewLease(now, this.#holder, this.#epoch, until)
    const next = renewed ?? takeLease(now, this.#holder, until, wall)
    this.#epoch = undefined
    if (next === undefined) return false
    try {
      await (stored === undefined ? this.#storage.create(KEY, next) : this.#storage.update(KEY, next, stored.etag))
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
    const stored = this.#epoch === undefined ? undefined : await this.#storage.get(KEY)
    if (stored === undefined || this.#epoch === undefined) return
    const now = StoredSchema.parse(stored.value) as Leased
    const next = releaseLease(now, this.#holder, this.#epoch)
    this.#epoch = undefined
    if (next !== now) await this.#storage.update(KEY, next, stored.etag)
  }
}
