import { type BlockList, isIPv6 } from 'node:net'
import type { Exchange } from '../lib/http/exchange.ts'

/** Whether the client is a browser that opens a page, and so can be shown one of ours (Fetch Metadata: `Sec-Fetch-Mode`). */
export function isNavigation(exchange: Exchange): boolean {
  return (
    exchange.method === 'GET' &&
    exchange.header('sec-fetch-mode') === 'navigate' &&
    (exchange.header('accept') ?? '').includes('text/html')
  )
}

const MOST_KNOWN = 10_000

/** The proxies whose X-Forwarded-* headers are believed. */
export class TrustedProxies {
  readonly #list: BlockList
  readonly #known = new Map<string, boolean>()

  constructor(list: BlockList) {
    this.#list = list
  }

  /** Whether the address is that of one. */
  has(address: string): boolean {
    if (this.#list.rules.length === 0) return false
    let known = this.#known.get(address)
    if (known === undefined) {
      known = address !== 'unknown' && this.#list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
      if (this.#known.size >= MOST_KNOWN) this.#known.clear()
      this.#known.set(address, known)
    }
    return known
  }
}

/** The client's address, for people: what a trusted proxy says of it, else the other end of the connection. */
export function clientOf(exchange: Exchange, isProxy: boolean): string {
  const told = isProxy ? exchange.header('x-forwarded-for') : undefined
  return told?.split(',', 1)[0]?.trim() || exchange.peer
}
