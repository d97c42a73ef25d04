import { CLOSED_NETWORKS, type Destination, type Destinations } from '../../model/egress.ts'

/** What the rules of a bridge are made from. */
export type RuleInput = {
  readonly bridge: string
  /** Addresses of name servers that containers ask directly. */
  readonly nameServers: readonly string[]
  /** Ports of this machine where a front listens. */
  readonly frontPorts: readonly number[]
  /** Apps that may reach more, or less, than usual; by the address of their container. */
  readonly apps: ReadonlyMap<string, Destinations>
  /** Addresses of apps that reach others on the bridge, and those others. */
  readonly links: readonly (readonly [from: string, to: string])[]
  /** Whether the kernel can record refused addresses (xt_recent). */
  readonly remembers: boolean
}

export const CHAIN_PREFIX = 'SHADOW-'
/** Chains of our own: what comes from the bridge for this machine, and what it is to forward. At most 28 characters long. */
export const chainsOf = (bridge: string) => ({
  input: `${CHAIN_PREFIX}I-${bridge}`,
  forward: `${CHAIN_PREFIX}F-${bridge}`,
})

/** The kernel's list of addresses that were refused a connection to a private network. */
export const refusedListOf = (bridge: string): string => `${CHAIN_PREFIX}${bridge}`

const ESTABLISHED = '-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN'
// A refusal ends the app's attempt at once, without a timeout. The kernel sends one ICMP message a second, but any number of resets.
const REJECTS = ['-p tcp -j REJECT --reject-with tcp-reset', '-j REJECT --reject-with icmp-admin-prohibited']

/**
 * The two chains as `iptables-restore --noflush` takes them: both are emptied and filled in one step. A packet that
 * returns from a chain goes on through the rules of Docker and of the machine's owner.
 */
export function rulesOf({ bridge, nameServers, frontPorts, apps, links, remembers }: RuleInput): string {
  const { input, forward } = chainsOf(bridge)
  const dns = nameServers.flatMap(server =>
    ['udp', 'tcp'].map(protocol => `-d ${server} -p ${protocol} --dport 53 -j RETURN`),
  )
  const own = [...apps].map(([ip, open]) => ofApp(ip, open))
  const lines = [
    [input, ESTABLISHED],
    ...own.flatMap(one => one.input).map(rule => [input, rule]),
    ...dns.map(rule => [input, rule]),
    ...frontPorts.map(port => [input, `-p tcp --dport ${port} -j RETURN`]),
    ...REJECTS.map(reject => [input, reject]),
    // Docker drops what goes from one container of the bridge to another one: these packets must not come to its rules.
    ...links.flatMap(([from, to]) => [
      [forward, `-s ${from} -d ${to} -j ACCEPT`],
      [forward, `-s ${to} -d ${from} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`],
    ]),
    [forward, ESTABLISHED],
    ...own.flatMap(one => one.forward).map(rule => [forward, rule]),
    ...dns.map(rule => [forward, rule]),
    ...(remembers ? CLOSED_NETWORKS : []).map(network => [
      forward,
      `-d ${network} -p tcp --syn -m recent --name ${refusedListOf(bridge)} --set`,
    ]),
    ...CLOSED_NETWORKS.flatMap(network => REJECTS.map(reject => [forward, `-d ${network} ${reject}`])),
  ]
  return restored([input, forward], lines)
}

/** The same for IPv6: the bridge has none, so nothing of it goes anywhere. */
export function rulesOfIPv6(bridge: string): string {
  const { input, forward } = chainsOf(bridge)
  return restored(
    [input, forward],
    [
      [input, ESTABLISHED],
      [input, '-j DROP'],
      [forward, ESTABLISHED],
      [forward, '-j DROP'],
    ],
  )
}

const restored = (chains: readonly string[], lines: readonly (readonly string[])[]): string =>
  [
    '*filter',
    ...chains.map(chain => `:${chain} - [0:0]`),
    ...lines.map(([chain, rule]) => `-A ${chain} ${rule}`),
    'COMMIT',
    '',
  ].join('\n')

function ofApp(ip: string, { internet, destinations }: Destinations): { input: string[]; forward: string[] } {
  const opened = (destination: Destination): string[] => {
    const to = destination.to === 'host' ? '' : ` -d ${destination.to}`
    if (destination.port === undefined) return [`-s ${ip}${to} -j RETURN`]
    return ['tcp', 'udp'].map(protocol => `-s ${ip}${to} -p ${protocol} --dport ${destination.port} -j RETURN`)
  }
  const closed = internet ? [] : REJECTS.map(reject => `-s ${ip} ${reject}`)
  return {
    input: [
      ...destinations.flatMap(destination => (isWholeNetwork(destination) ? [] : opened(destination))),
      ...closed,
    ],
    forward: [...destinations.filter(({ to }) => to !== 'host').flatMap(opened), ...closed],
  }
}

// A network opens what is behind this machine; the machine itself is opened by its own address, or as `host`.
const isWholeNetwork = ({ to }: Destination): boolean => to.includes('/') && !to.endsWith('/32')
