import { BlockList } from 'node:net'
import { ShadowError } from '../lib/errors.ts'
import { ipOf } from '../lib/ip.ts'
import type { Access, Network } from '../model/access.ts'
import type { AppName } from '../model/names.ts'
import { RateLimits, type RateLimitsOptions } from './rate-limits.ts'

type Lists = { readonly allow: Networks | undefined; readonly deny: Networks | undefined }

/** Applies the access rules of apps to clients: their lists, and then their rates. */
export class Guard {
  readonly #rates: RateLimits
  // Keyed by the rules object: a route that is read anew has a new one, and the old one is collected.
  readonly #lists = new WeakMap<Access, Lists>()

  constructor(options: RateLimitsOptions) {
    this.#rates = new RateLimits(options)
  }

  /** Fails with `not-allowed` or `rate-limited` where this client may not use the app now. */
  admit(app: AppName, access: Access, client: string): void {
    const { allow, deny } = this.#of(access)
    const address = client.includes('%') ? (ipOf(client) ?? client) : client
    if (deny?.has(address) === true || allow?.has(address) === false)
      throw new ShadowError('not-allowed', `${address} may not use ${app}`, { hint: `shadow access ${app}` })
    this.#rates.take(app, access, address)
  }

  #of(access: Access): Lists {
    let lists = this.#lists.get(access)
    if (lists === undefined) {
      lists = {
        allow: access.allow.length > 0 ? new Networks(access.allow) : undefined,
        deny: access.deny.length > 0 ? new Networks(access.deny) : undefined,
      }
      this.#lists.set(access, lists)
    }
    return lists
  }
}

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
