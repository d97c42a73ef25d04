/** A TCP socket that listens in a container. `isLoopback`: only the container itself reaches it. */
export type Listener = { readonly port: number; readonly isLoopback: boolean }

const LISTEN = '0A'
const IPV4 = 8
const MAPPED_IPV4 = '0000000000000000FFFF0000'
const IPV6_LOOPBACK = '00000000000000000000000001000000'
// Docker answers the DNS of containers there, on a port of its choice.
const DOCKER_DNS = '0B00007F'

/** The sockets that listen, of a text of /proc/PID/net/tcp or tcp6: proc(5). */
export const listenersOf = (text: string): readonly Listener[] =>
  text.split('\n').flatMap(line => {
    const [, local, , state] = line.trim().split(/\s+/)
    const [address, port] = local?.split(':') ?? []
    if (state !== LISTEN || address === undefined || port === undefined) return []
    const plain = address.startsWith(MAPPED_IPV4) ? address.slice(-IPV4) : address
    if (plain === DOCKER_DNS) return []
    return [{ port: Number.parseInt(port, 16), isLoopback: isLoopback(plain) }]
  })

// The kernel prints addresses in words of 32 bits in the machine's order, which is little-endian on all that Docker runs on but s390x.
const isLoopback = (address: string): boolean =>
  address.length === IPV4 ? address.endsWith('7F') : address === IPV6_LOOPBACK
