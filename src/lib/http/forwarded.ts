import { isIPv6 } from 'node:net'

/** Where a request came from, as this hop knows it. */
export type Origin = {
  /** The client's address, or `unknown`. */
  readonly address: string
  readonly proto: 'http' | 'https'
  readonly host: string | undefined
}

/** Our element of `Forwarded` (RFC 7239, 4). */
export function forwardedOf({ address, proto, host }: Origin): string {
  const named = host === undefined ? '' : `host=${quoted(host)};`
  return `for=${nodeOf(address)};${named}proto=${proto}`
}

/** RFC 7239, 6: IPv6 in brackets, which makes it a text to be quoted; a zone is of this machine alone. */
function nodeOf(address: string): string {
  const bare = address.replace(/%.*$/, '')
  return isIPv6(bare) ? `"[${bare}]"` : quoted(address)
}

function quoted(text: string): string {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`
}
