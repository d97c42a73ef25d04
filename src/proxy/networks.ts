import { BlockList } from 'node:net'
import type { Network } from '../model/access.ts'

const MOST_KNOWN = 1_000

/** Networks to look addresses up in. One list would have `::/0` mean IPv4 as well: it takes that for a part of IPv6. */
export class Networks {
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
