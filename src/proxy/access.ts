import { BlockList } from 'node:net'
import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import { clientAt, ipOf } from '../lib/ip.ts'
import type { Buckets } from '../lib/shared/buckets.ts'
import { type Access, type Bucket, bucketOf, type Network } from '../model/access.ts'
import type { AppName } from '../model/names.ts'

type Options = {
  readonly clock: Clock
  /** How much each app was used, and each client of an app; in memory that workers share, they count together. */
  readonly apps: Buckets
  /** Apart from the apps', so that many clients cannot crowd those out. */
  readonly clients: Buckets
}

type Compiled = {
  readonly allow: Networks | undefined
  readonly deny: Networks | undefined
  readonly rate: Bucket | undefined
  readonly ratePerClient: Bucket | undefined
}

/** Applies the access rules of apps to clients. */
export class Guard {
  readonly #options: Options
  // Keyed by the rules object: a route that is read anew has a new one, and the old one is collected.
  readonly #compiled = new WeakMap<Access, Compiled>()

  constructor(options: Options) {
    this.#options = options
  }

  /** Fails with `not-allowed` or `rate-limited` where this client may not use the app now. */
  admit(app: AppName, access: Access, client: string): void {
    const { allow, deny, rate, ratePerClient } = this.#of(access)
    const address = client.includes('%') ? (ipOf(client) ?? client) : client
    if (deny?.has(address) === true || allow?.has(address) === false)
      throw new ShadowError('not-allowed', `${address} may not use ${app}`, { hint: `shadow access ${app}` })
    if (ratePerClient !== undefined) {
      const waitMs = this.#options.clients.take(`${app} ${clientAt(address)}`, ratePerClient, this.#options.clock.now())
      if (waitMs > 0)
        throw tooMany(`${address} asks more of ${app} than ${access.ratePerClient}`, app, 'client', waitMs)
    }
    if (rate !== undefined) {
      const waitMs = this.#options.apps.take(app, rate, this.#options.clock.now())
      if (waitMs > 0) throw tooMany(`${app} is asked more than ${access.rate}`, app, 'app', waitMs)
    }
  }

  #of(access: Access): Compiled {
    let compiled = this.#compiled.get(access)
    if (compiled === undefined) {
      compiled = {
        allow: access.allow.length > 0 ? new Networks(access.allow) : undefined,
        deny: access.deny.length > 0 ? new Networks(access.deny) : undefined,
        rate: access.rate && bucketOf(access.rate),
        ratePerClient: access.ratePerClient && bucketOf(access.ratePerClient),
      }
      this.#compiled.set(access, compiled)
    }
    return compiled
  }
}

/** `of`: which of the two rates it is that was reached. */
const tooMany = (what: string, app: AppName, of: 'client' | 'app', retryAfterMs: number): ShadowError =>
  new ShadowError('rate-limited', what, { retryAfterMs, hint: `shadow access ${app}`, facts: { rate: of } })

const MOST_KNOWN = 1_000

/** Networks to look addresses up in. One list would have `::/0` mean IPv4 as well: it takes that for a part of IPv6. */
class Networks {
  readonly #ipv4 = new BlockList()
  readonly #ipv6 = new BlockList()
  // The look-up takes a microsecond, and a client comes more than once.
  readonly #known = new Map<string, boolean>()

  constructor(networks: readonly Network[]) {
    for (const network of networks) {
      const [address = '', bits] = network.split('/')
      const family = address.includes(':') ? 'ipv6' : 'ipv4'
      const list = family === 'ipv6' ? this.#ipv6 : this.#ipv4
      if (bits === undefined) list.addAddress(address, family)
      else list.addSubnet(address, Number(bits), family)
    }
  }

  /** What is no address is in none. */
  has(address: string): boolean {
    let known = this.#known.get(address)
    if (known === undefined) {
      known = address.includes(':') ? this.#ipv6.check(address, 'ipv6') : this.#ipv4.check(address, 'ipv4')
      if (this.#known.size >= MOST_KNOWN) this.#known.clear()
      this.#known.set(address, known)
    }
    return known
  }
}
