import { isIPv4, isIPv6 } from 'node:net'

/**
 * The address in its one spelling: IPv6 as RFC 5952 has it, without a zone, and an IPv4 address that came as IPv6 (`::ffff:1.2.3.4`)
 * as IPv4; undefined where the text is no address.
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

/** The network of so many bits that the address is in, by its first address. The address is as `ipOf` gives it. */
export function networkOf(address: string, bits: number): string {
  const groups = groupsOf(address).map(
    (group, index) => group & (0xffff << Math.min(16, Math.max(0, 16 * (index + 1) - bits))),
  )
  return groups.length === 2 ? dotted(groups) : (ipOf(groups.map(group => group.toString(16)).join(':')) ?? address)
}

// Groups of 16 bits: two of IPv4, eight of IPv6.
function groupsOf(address: string): readonly number[] {
  if (isIPv4(address)) {
    const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
    return [(a << 8) | b, (c << 8) | d]
  }
  const [before = [], after = []] = address.split('::').map(half => half.split(':').filter(group => group !== ''))
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0')
  return [...before, ...zeros, ...after].map(group => Number.parseInt(group, 16))
}

const dotted = (groups: readonly number[]): string => groups.flatMap(group => [group >> 8, group & 0xff]).join('.')
