import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { readIfThere, writeWhole } from '../../lib/files.ts'
import { isIn, parseAddress, printAddress, type Subnet, sizeOf } from './subnets.ts'

/** How long an address rests after its container has gone: whatever was on its way to that container has failed by then. @internal */
export const RESTS_MS = 300_000
// The file is written once for so many addresses.
const KEPT_AHEAD = 64
// The network itself, and the bridge.
const RESERVED = 2

type Options = {
  readonly clock: Clock
  /** Where the turn of the addresses is kept over restarts; without it, each run begins anywhere. */
  readonly file?: string | undefined
}

/**
 * The addresses of containers in our subnet. They are given in turn: an address is used again after all others, and never within
 * `RESTS_MS` after its container is gone, so that a late packet reaches no other app.
 */
export class Addresses {
  readonly #options: Options
  readonly #used = new Set<number>()
  readonly #freedAt = new Map<number, number>()
  #subnet: Subnet | undefined
  #next = 0
  #keptUpTo = 0
  #opened: Promise<void> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** How many addresses are in use. */
  get used(): number {
    return this.#used.size
  }

  /** Takes an address of the subnet that is free and was not used lately; fails with `addresses-full`. */
  async take(subnet: Subnet): Promise<string> {
    this.#opened ??= this.#open(subnet)
    await this.#opened
    if (subnet.base !== this.#subnet?.base || subnet.bits !== this.#subnet.bits) {
      this.#subnet = subnet
      this.#next %= places(subnet)
      for (const value of this.#used) if (!isIn(subnet, printAddress(value))) this.#used.delete(value)
    }
    const found = this.#free(subnet)
    this.#used.add(found)
    if (this.#next > this.#keptUpTo || this.#next + KEPT_AHEAD < this.#keptUpTo) {
      this.#keptUpTo = this.#next + KEPT_AHEAD
      if (this.#options.file !== undefined) await writeWhole(this.#options.file, `${this.#keptUpTo}\n`)
    }
    return printAddress(found)
  }

  /** A container that was found has it. */
  isUsed(address: string): void {
    this.#used.add(parseAddress(address))
  }

  /** The container that had it has gone. */
  free(address: string): void {
    const value = parseAddress(address)
    if (this.#used.delete(value)) this.#freedAt.set(value, this.#options.clock.now())
  }

  #free(subnet: Subnet): number {
    const now = this.#options.clock.now()
    const all = places(subnet)
    for (let tried = 0; tried < all; tried += 1) {
      const value = subnet.base + RESERVED + this.#next
      this.#next = (this.#next + 1) % all
      if (this.#used.has(value)) continue
      if (now - (this.#freedAt.get(value) ?? Number.NEGATIVE_INFINITY) < RESTS_MS) continue
      this.#freedAt.delete(value)
      return value
    }
    throw new ShadowError('addresses-full', `all ${all} addresses of the apps' network are used or rest`, {
      hint: `an address rests ${RESTS_MS / 60_000} minutes after its app went to sleep`,
      retryAfterMs: 10_000,
    })
  }

  async #open(subnet: Subnet): Promise<void> {
    const { file } = this.#options
    const kept = file === undefined ? Number.NaN : Number.parseInt((await readIfThere(file)) ?? '', 10)
    this.#next = kept >= 0 ? kept : Math.floor(Math.random() * places(subnet))
    this.#keptUpTo = this.#next
  }
}

/** How many containers the subnet has room for; its last address is for broadcasts. */
const places = (subnet: Subnet): number => sizeOf(subnet) - RESERVED - 1
