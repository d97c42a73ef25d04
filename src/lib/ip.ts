import { isIPv4, isIPv6 } from 'node:net'

/**
 * The address in its canonical spelling: IPv6 by RFC 5952 without a zone, and an IPv4 address that was written as IPv6
 * (`::ffff:1.2.3.4`) as IPv4; undefined if the text is no address.
 */
export function ipOf(text: string): string | undefined {
  if (isIPv4(text)) return text
  if (!isIPv6(text)) return undefined
  const address = new URL(`http://[${text.replace(/%.*$/s, '')}]/`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(address)
  return mapped === null
    ? address
    : dotted([Number.parseInt(mapped[1] ?? '', 16), Number.parseInt(mapped[2] ?? '', 16)])
}

/** The address of a socket as people write it: without the prefix that a dual-stack socket gives an IPv4 address. */
export const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '')

/** The address without its port, if it has one: `203.0.113.9:4711`, `[2001:db8::9]:4711`. */
export const withoutPort = (text: string): string => text.replace(/^(?:\[([^\]]*)\]|([\d.]+))(?::\d+)?$/, '$1$2')

/** The address that identifies one client, as a key to count by: an IPv4 address, or a /64 of IPv6. */
export function clientAt(address: string): string {
  if (!address.includes(':')) return address
  const [a = 0, b = 0, c = 0, d = 0] = groupsOfIPv6(address)
  return `${a}:${b}:${c}:${d}`
}

/** The first address of the network with this many bits that contains the address. The address is in the form of `ipOf`. */
export function networkOf(address: string, bits: number): string {
  const groups = groupsOf(address).map(
    (group, index) => group & (0xffff << Math.min(16, Math.max(0, 16 * (index + 1) - bits))),
  )
  return groups.length === 2 ? dotted(groups) : (ipOf(groups.map(group => group.toString(16)).join(':')) ?? address)
}

// Groups of 16 bits: two for IPv4, eight for IPv6.
function groupsOf(address: string): readonly number[] {
  if (address.includes(':')) return groupsOfIPv6(address)
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
  return [(a << 8) | b, (c << 8) | d]
}

// Parsed by hand, because it runs for each request of an IPv6 client whose rate is limited.
function groupsOfIPv6(address: string): readonly number[] {
  const groups: number[] = []
  let zerosAt = -1
  let group = 0
  let begunAt = 0
  for (let at = 0; at <= address.length; at++) {
    const code = address.charCodeAt(at)
    if (at < address.length && code !== COLON) {
      group = group * 16 + (code & 0xf) + (code > NINE ? 9 : 0)
      continue
    }
    if (at > begunAt) groups.push(group & 0xffff)
    else zerosAt = groups.length
    begunAt = at + 1
    group = 0
  }
  while (zerosAt >= 0 && groups.length < 8) groups.splice(zerosAt, 0, 0)
  return groups
}

const COLON = 0x3a
const NINE = 0x39

const dotted = (groups: readonly number[]): string => groups.flatMap(group => [group >> 8, group & 0xff]).join('.')
