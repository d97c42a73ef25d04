import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'

/** A range of IPv4 addresses: `bits` are the fixed ones at the front. */
export type Subnet = { readonly base: number; readonly bits: number }

// 16,382 containers' addresses: one Linux bridge carries 1,023 at a time, the rest is for addresses that rest.
const BITS = 18
// 10.0.0.0/8 (RFC 1918) has 1,024 of them.
const PRIVATE_BASE = 10 * 2 ** 24
const COUNT = 2 ** (BITS - 8)

/** The subnets to try for a network, in the order that its name gives, without those that the machine can reach already. */
export function candidatesFor(name: string, reached: readonly Subnet[]): readonly Subnet[] {
  const first = createHash('sha256').update(name).digest().readUInt32BE(0) % COUNT
  const all = Array.from({ length: COUNT }, (_, i): Subnet => {
    const at = (first + i) % COUNT
    return { base: PRIVATE_BASE + at * sizeOf({ bits: BITS }), bits: BITS }
  })
  return all.filter(subnet => !reached.some(other => overlap(subnet, other)))
}

// systemd-resolved tells programs of itself, and keeps the name servers of the network apart.
const RESOLVERS = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']

/**
 * What this machine reaches: the networks that it has an address in or a route to, the default route apart; and by the default route its name servers and
 * those it has TCP connections with, such as a master. A network over one of these would cut the machine off from it.
 */
export async function reachedFromHere(read = readHere): Promise<readonly Subnet[]> {
  const own = Object.values(networkInterfaces()).flatMap(list => list ?? [])
  const addresses = own.flatMap(({ family, cidr }) => (family === 'IPv4' && cidr ? [parseSubnet(cidr)] : []))
  const [routes = '', connections = '', ...resolvers] = await Promise.all(
    ['/proc/net/route', '/proc/net/tcp', ...RESOLVERS].map(read),
  )
  const routed = routes.split('\n').slice(1).flatMap(routeOf)
  const peers = connections.split('\n').slice(1).flatMap(peerOf)
  return [...addresses, ...routed, ...peers, ...resolvers.flatMap(nameServersIn)]
}

// Not Linux: Docker alone says what overlaps.
const readHere = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '')

/** The IPv4 name servers of a resolv.conf. */
const nameServersIn = (text: string): readonly Subnet[] =>
  [...text.matchAll(/^\s*nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$/gm)].map(([, address = '']) => parseSubnet(address))

export const sizeOf = ({ bits }: Pick<Subnet, 'bits'>): number => 2 ** (32 - bits)

/** `10.1.0.0/18`; an address within the range stands for the range. */
export function parseSubnet(text: string): Subnet {
  const [address = '', bits = '32'] = text.split('/')
  const size = sizeOf({ bits: Number(bits) })
  return { base: Math.floor(parseAddress(address) / size) * size, bits: Number(bits) }
}

export const printSubnet = ({ base, bits }: Subnet): string => `${printAddress(base)}/${bits}`

export const parseAddress = (text: string): number =>
  text.split('.').reduce((value, part) => value * 256 + Number(part), 0)

export const printAddress = (value: number): string =>
  [24, 16, 8, 0].map(shift => Math.floor(value / 2 ** shift) % 256).join('.')

/** Whether the address is in the range. */
export const isIn = ({ base, bits }: Subnet, address: string): boolean => {
  const value = parseAddress(address)
  return value >= base && value < base + sizeOf({ bits })
}

const overlap = (a: Subnet, b: Subnet): boolean => a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a)

/** The other end of an established connection (state 01), by a line of /proc/net/tcp. What has ended is listed there for a minute more. */
function peerOf(line: string): readonly Subnet[] {
  const [, address] = /^\s*\d+: [0-9A-F]{8}:[0-9A-F]{4} ([0-9A-F]{8}):[0-9A-F]{4} 01 /.exec(line) ?? []
  return address === undefined ? [] : [{ base: Buffer.from(address, 'hex').readUInt32LE(0), bits: 32 }]
}

/** One line of /proc/net/route: destination and mask are hexadecimal, in the machine's byte order. */
function routeOf(line: string): readonly Subnet[] {
  const [, destination = '', , , , , , mask = ''] = line.split('\t')
  if (!/^[0-9A-F]{8}$/.test(destination) || !/^[0-9A-F]{8}$/.test(mask) || mask === '00000000') return []
  const bits = [...Number.parseInt(mask, 16).toString(2)].filter(bit => bit === '1').length
  return [{ base: Buffer.from(destination, 'hex').readUInt32LE(0), bits }]
}
