import { CLOSED_NETWORKS, type Destination, type Destinations, type NamedHost } from '../../model/egress.ts'
import type { Redirects } from './named-egress.ts'

/** What the rules of a bridge are made from. */
export type RuleInput = {
  readonly bridge: string
  /** Addresses of name servers that containers ask directly. */
  readonly nameServers: readonly string[]
  /** Ports of this machine where a front listens. */
  readonly frontPorts: readonly number[]
  /** The networks of the node's apps, this one included: no app reaches them, whatever its definition says. */
  readonly networks: readonly string[]
  /** Apps that may reach more, or less, than usual; by the address of their container. */
  readonly apps: ReadonlyMap<string, Destinations>
  /** Addresses of apps that reach others on the bridge, and those others. */
  readonly links: readonly (readonly [from: string, to: string])[]
  /** Whether the kernel can record refused addresses (xt_recent). */
  readonly remembers: boolean
  /** Where apps that reach hosts by their names are led to; undefined: there is no such app. */
  readonly redirects: Redirects | undefined
}

export const CHAIN_PREFIX = 'SHADOW-'
/** Chains of our own: what comes from the bridge for this machine, and what it is to forward. At most 28 characters long. */
export const chainsOf = (bridge: string) => ({
  input: `${CHAIN_PREFIX}I-${bridge}`,
  forward: `${CHAIN_PREFIX}F-${bridge}`,
  /** In the table `nat`. */
  redirect: `${CHAIN_PREFIX}N-${bridge}`,
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
export function rulesOf({
  bridge,
  nameServers,
  frontPorts,
  networks,
  apps,
  links,
  remembers,
  redirects,
}: RuleInput): string {
  const { input, forward } = chainsOf(bridge)
  const dns = nameServers.flatMap(server =>
    ['udp', 'tcp'].map(protocol => `-d ${server} -p ${protocol} --dport 53 -j RETURN`),
  )
  const set = `-p tcp --syn -m recent --name ${refusedListOf(bridge)} --set`
  const closed = (all: readonly string[]) => [
    ...(remembers ? all : []).map(network => [forward, `-d ${network} ${set}`]),
    ...all.flatMap(network => REJECTS.map(reject => [forward, `-d ${network} ${reject}`])),
  ]
  const own = [...apps].map(([ip, open]) => ofApp(ip, open, remembers ? set : undefined))
  const lines = [
    [input, ESTABLISHED],
    ...[...apps].flatMap(([ip, { hosts }]) => toRedirects(ip, hosts, redirects)).map(rule => [input, rule]),
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
    // Before what an app may reach by its definition: that may be all private networks.
    ...closed(networks),
    ...own.flatMap(one => one.forward).map(rule => [forward, rule]),
    ...dns.map(rule => [forward, rule]),
    ...closed(CLOSED_NETWORKS),
  ]
  return restored([input, forward], lines)
}

/**
 * The chain that leads apps to the name server and the proxy of their node, whatever addresses they ask or connect to; but for what their
 * definition opens by its address.
 */
export function redirectsOf({ bridge, apps, links, redirects }: RuleInput): string {
  const { redirect } = chainsOf(bridge)
  const named = [...apps].filter(([, { hosts }]) => hosts.length > 0)
  const isNamed = new Set(named.map(([ip]) => ip))
  const rules = [
    ...links.filter(([from]) => isNamed.has(from)).map(([from, to]) => `-s ${from} -d ${to} -j RETURN`),
    ...named.flatMap(([ip, { destinations, hosts }]) => [
      ...dnsRedirects(ip, redirects),
      ...destinations.filter(({ to }) => to !== 'host').flatMap(one => opened(ip, one)),
      ...redirectsTo(hosts, redirects).map(
        ([port, at]) => `-s ${ip} -p tcp --dport ${port} -j REDIRECT --to-ports ${at}`,
      ),
    ]),
  ]
  return restored(
    [redirect],
    rules.map(rule => [redirect, rule]),
    'nat',
  )
}

const dnsRedirects = (ip: string, redirects: Redirects | undefined): string[] =>
  redirects === undefined
    ? []
    : (['udp', 'tcp'] as const).map(
        protocol => `-s ${ip} -p ${protocol} --dport 53 -j REDIRECT --to-ports ${redirects.dns[protocol]}`,
      )

/** Lets the app in where it is led to. These ports are ours, so that no rule of the machine's owner can be about them. */
function toRedirects(ip: string, hosts: readonly NamedHost[], redirects: Redirects | undefined): string[] {
  if (redirects === undefined || hosts.length === 0) return []
  const tcp = [redirects.dns.tcp, ...redirectsTo(hosts, redirects).map(([, at]) => at)]
  return [
    `-s ${ip} -p udp --dport ${redirects.dns.udp} -j ACCEPT`,
    ...tcp.map(port => `-s ${ip} -p tcp --dport ${port} -j ACCEPT`),
  ]
}

/** The ports of these hosts, with the ports where the proxy takes their connections. */
const redirectsTo = (
  hosts: readonly NamedHost[],
  redirects: Redirects | undefined,
): (readonly [port: number, at: number])[] =>
  [...new Set(hosts.flatMap(({ ports }) => ports))].flatMap(port => {
    const at = redirects?.ports.get(port)
    return at === undefined ? [] : [[port, at] as const]
  })

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

const restored = (chains: readonly string[], lines: readonly (readonly string[])[], table = 'filter'): string =>
  [
    `*${table}`,
    ...chains.map(chain => `:${chain} - [0:0]`),
    ...lines.map(([chain, rule]) => `-A ${chain} ${rule}`),
    'COMMIT',
    '',
  ].join('\n')

const opened = (ip: string, { to, port }: Destination): string[] => {
  const at = to === 'host' ? '' : ` -d ${to}`
  if (port === undefined) return [`-s ${ip}${at} -j RETURN`]
  return ['tcp', 'udp'].map(protocol => `-s ${ip}${at} -p ${protocol} --dport ${port} -j RETURN`)
}

/** `remember`: what records a refusal. */
function ofApp(
  ip: string,
  { internet, destinations }: Destinations,
  remember: string | undefined,
): { input: string[]; forward: string[] } {
  const closed = internet ? [] : REJECTS.map(reject => `-s ${ip} ${reject}`)
  const noted = internet || remember === undefined ? [] : [`-s ${ip} ${remember}`]
  return {
    input: [...destinations.flatMap(one => (isWholeNetwork(one) ? [] : opened(ip, one))), ...closed],
    forward: [...destinations.filter(({ to }) => to !== 'host').flatMap(one => opened(ip, one)), ...noted, ...closed],
  }
}

// A network opens what is behind this machine; the machine itself is opened by its own address, or as `host`.
const isWholeNetwork = ({ to }: Destination): boolean => to.includes('/') && !to.endsWith('/32')
