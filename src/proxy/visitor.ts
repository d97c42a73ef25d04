import { type BlockList, isIPv6 } from 'node:net'
import type { Exchange } from '../lib/http/exchange.ts'
import { ipOf } from '../lib/ip.ts'

/**
 * Whether the client is a browser that opens a page, and so can be shown one of ours. It says so by `Sec-Fetch-Mode` (W3C Fetch Metadata),
 * but only to hosts that it trusts: by HTTPS, and on localhost. Over plain HTTP elsewhere it says nothing there, and
 * `Upgrade-Insecure-Requests: 1` (W3C, 3.2.1), which comes with navigations alone, says it.
 */
export function isNavigation(exchange: Exchange): boolean {
  if (exchange.method !== 'GET') return false
  const mode = exchange.header('sec-fetch-mode')
  const navigates = mode === undefined ? exchange.header('upgrade-insecure-requests') === '1' : mode === 'navigate'
  return navigates && prefersHtml(exchange.list('accept') ?? '')
}

/** Whether an `Accept` (RFC 9110, 12.5.1) names HTML, and nothing that is wanted more. */
function prefersHtml(accept: string): boolean {
  let html = 0
  let most = 0
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map(part => part.trim().toLowerCase())
    const said = parameters.find(parameter => parameter.startsWith('q='))
    const weight = said === undefined ? 1 : Number(said.slice(2)) || 0
    if (type === 'text/html') html = Math.max(html, weight)
    most = Math.max(most, weight)
  }
  return html > 0 && html === most
}

const MOST_KNOWN = 10_000

/** The proxies whose X-Forwarded-* headers are believed. */
export class TrustedProxies {
  readonly #list: BlockList
  // `rules` is made anew each time it is read.
  readonly #isEmpty: boolean
  readonly #known = new Map<string, boolean>()

  constructor(list: BlockList) {
    this.#list = list
    this.#isEmpty = list.rules.length === 0
  }

  /** Whether the address is that of one. */
  has(address: string): boolean {
    if (this.#isEmpty) return false
    let known = this.#known.get(address)
    if (known === undefined) {
      known = address !== 'unknown' && this.#list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
      if (this.#known.size >= MOST_KNOWN) this.#known.clear()
      this.#known.set(address, known)
    }
    return known
  }
}

/**
 * The client's address: of what trusted proxies say, the last that is not one of them, since whatever is before it in the list the
 * client may have made up; without a trusted proxy the other end of the connection. It is a proxy's word, and may be no address.
 */
export function clientOf(exchange: Exchange, trusted: TrustedProxies): string {
  let client = exchange.peer
  if (!trusted.has(client)) return client
  for (const said of exchange.list('x-forwarded-for')?.split(',').reverse() ?? []) {
    const bare = said.trim()
    if (bare === '') continue
    client = ipOf(withoutPort(bare)) ?? bare
    if (!trusted.has(client)) break
  }
  return client
}

// Some proxies tell the port as well: `203.0.113.9:4711`, `[2001:db8::9]:4711`.
const withoutPort = (said: string): string => said.replace(/^(?:\[([^\]]*)\]|([\d.]+))(?::\d+)?$/, '$1$2')
