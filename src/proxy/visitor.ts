import { BlockList, isIPv6 } from 'node:net'
import type { Exchange } from '../lib/http/exchange.ts'
import { readForwarded } from '../lib/http/wire/forwarded.ts'
import { ipOf, withoutPort } from '../lib/ip.ts'

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

/** The proxies whose X-Forwarded-* headers, or Forwarded, are believed: those of a list, but for the apps, which could say anything. */
export class TrustedProxies {
  readonly #list: BlockList
  // `rules` is made anew each time it is read.
  readonly #isEmpty: boolean
  readonly #appNetworks: () => readonly string[]
  readonly #known = new Map<string, boolean>()
  /** What `appNetworks` gave last, as a list to look addresses up in. */
  #seen: readonly string[] = []
  #apps = new BlockList()

  /** `appNetworks` gives the networks of apps, the same list as long as they are the same. */
  constructor(list: BlockList, appNetworks: () => readonly string[] = () => []) {
    this.#list = list
    this.#isEmpty = list.rules.length === 0
    this.#appNetworks = appNetworks
  }

  /** Whether the address is that of one. */
  has(address: string): boolean {
    if (this.#isEmpty) return false
    const networks = this.#appNetworks()
    if (networks !== this.#seen) {
      this.#seen = networks
      this.#apps = listOf(networks)
      this.#known.clear()
    }
    let known = this.#known.get(address)
    if (known === undefined) {
      const family = isIPv6(address) ? 'ipv6' : 'ipv4'
      known = address !== 'unknown' && this.#list.check(address, family) && !this.#apps.check(address, family)
      if (this.#known.size >= MOST_KNOWN) this.#known.clear()
      this.#known.set(address, known)
    }
    return known
  }
}

/** The networks of apps that a list of trusted proxies reaches into. */
export function untrusted(list: BlockList, networks: readonly string[]): readonly string[] {
  const named = list.rules.flatMap(rule => /^\w+: IPv[46] ([^/\s]+)/.exec(rule)?.[1] ?? [])
  return networks.filter(network => {
    const [first = ''] = network.split('/')
    const apps = listOf([network])
    const inApps = (address: string): boolean => apps.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
    return list.check(first, isIPv6(first) ? 'ipv6' : 'ipv4') || named.some(inApps)
  })
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits] = network.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    list.addSubnet(address, Number(bits ?? (family === 'ipv6' ? 128 : 32)), family)
  }
  return list
}

/** What trusted proxies say of where a request came from: the same, whichever headers they say it by. */
type Claim = { readonly address: string | undefined; readonly proto: string | undefined }

/** The claims of all proxies that it passed, the last proxy's last; in X-Forwarded-*, else in `Forwarded` (RFC 7239). */
function claimsOf(exchange: Exchange): readonly Claim[] {
  const addresses = exchange.list('x-forwarded-for')
  const proto = exchange.list('x-forwarded-proto')?.split(',', 1)[0]?.trim().toLowerCase()
  if (addresses !== undefined) return addresses.split(',').map(address => ({ address: address.trim(), proto }))
  const forwarded = exchange.list('forwarded')
  const claims = forwarded === undefined ? [] : readForwarded(forwarded)
  if (proto === undefined) return claims
  return claims.length > 0 ? claims.map(({ address }) => ({ address, proto })) : [{ address: undefined, proto }]
}

/** The visitor, as far as the front can trust it. Without a trusted proxy that is only what the connection shows. */
export type Visitor = { readonly address: string; readonly secure: boolean }

/**
 * The visitor of a request. Behind trusted proxies it is the last address in their list that is not a trusted proxy: the client may have
 * made up everything before it. Otherwise it is the peer. A proxy may write anything, so `address` need not be an IP address.
 */
export function visitorOf(exchange: Exchange, trusted: TrustedProxies): Visitor {
  let { clientAddress: address, secure } = exchange
  if (!trusted.has(address)) return { address, secure }
  for (const claim of claimsOf(exchange).toReversed()) {
    if (claim.proto !== undefined) secure = claim.proto === 'https'
    if (claim.address === undefined || claim.address === '') continue
    address = addressOf(claim.address)
    if (!trusted.has(address)) break
  }
  return { address, secure }
}

const addressOf = (said: string): string => ipOf(withoutPort(said)) ?? said
