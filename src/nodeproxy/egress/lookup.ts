import { Resolver } from 'node:dns/promises'
import type { Clock } from '../../lib/clock.ts'
import { systemCode } from '../../lib/errors.ts'
import type { Hostname } from '../../model/hostname.ts'

/** IPv4 addresses of a name, none if it has none; for how long they count. */
export type Found = { readonly addresses: readonly string[]; readonly ttlSeconds: number }

type Record = { readonly address: string; readonly ttl: number }
type Options = {
  readonly clock: Clock
  /** Asks a name server; rejects with a code of node:dns. */
  readonly resolve: (name: string) => Promise<readonly Record[]>
}
type Known = { readonly until: number; readonly found: Promise<Found> }

const TRIES = 2
const TIMEOUT_MS = 2_000
const LONGEST_S = 60
/** How long it is kept that a name has no address. */
const NONE_S = 5
const MOST_KNOWN = 2_000
const NO_ADDRESS = ['ENOTFOUND', 'ENODATA']

/** Asks these name servers, or those of this machine. */
export function resolver(servers: readonly string[] | undefined): Options['resolve'] {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES })
  if (servers !== undefined) resolver.setServers(servers)
  return name => resolver.resolve4(name, { ttl: true })
}

/** Finds the addresses of names for apps. Answers are shared, and kept for as long as they count, a minute at most. */
export class Lookup {
  readonly #options: Options
  readonly #known = new Map<Hostname, Known>()

  constructor(options: Options) {
    this.#options = options
  }

  /** Rejects if no name server answers. */
  find(name: Hostname): Promise<Found> {
    const { clock } = this.#options
    const known = this.#known.get(name)
    if (known !== undefined && known.until > clock.now()) return known.found
    const found = this.#ask(name)
    this.#keep(name, { until: Number.POSITIVE_INFINITY, found })
    found.then(
      ({ ttlSeconds }) => {
        if (this.#known.get(name)?.found === found)
          this.#keep(name, { until: clock.now() + Math.max(1, ttlSeconds) * 1_000, found })
      },
      () => {
        if (this.#known.get(name)?.found === found) this.#known.delete(name)
      },
    )
    return found
  }

  #keep(name: Hostname, known: Known): void {
    this.#known.delete(name)
    this.#known.set(name, known)
    if (this.#known.size <= MOST_KNOWN) return
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest)
      return
    }
  }

  async #ask(name: Hostname): Promise<Found> {
    try {
      const records = await this.#options.resolve(`${name}.`) // whole: nothing is added to it
      const addresses = [...new Set(records.map(({ address }) => address))]
      return { addresses, ttlSeconds: Math.min(LONGEST_S, ...records.map(({ ttl }) => ttl)) }
    } catch (error) {
      if (NO_ADDRESS.includes(systemCode(error) ?? '')) return { addresses: [], ttlSeconds: NONE_S }
      throw error
    }
  }
}
