import { ShadowError } from '../lib/errors.ts'
import { network } from './access.ts'
import { type Hostname, hostname } from './hostname.ts'

/**
 * What an app may reach besides its own hostnames: `internet` (the default), `none`, `private`, `host`, `host:PORT`, an IPv4
 * address or network with or without `:PORT`, or a domain (`api.example.com`, `*.example.com`) with or without `:PORT`. A domain closes
 * the rest of the internet, as `none` does.
 */
export type Egress = string & { readonly brand: 'Egress' }

/** A destination: a network, or this machine itself; with `port`, that port only. */
export type Destination = { readonly to: string | 'host'; readonly port: number | undefined }
/** Hosts that are reached by their name: one, or with `*.` all below it. */
export type NamedHost = { readonly name: string; readonly ports: readonly number[] }
/** What an app may reach besides its own hostnames. `internet`: all but CLOSED_NETWORKS. */
export type Destinations = {
  readonly internet: boolean
  readonly destinations: readonly Destination[]
  readonly hosts: readonly NamedHost[]
}

/** Networks that no app reaches unless its definition says so (RFC 1918, 6598, 3927, 1122, 5735, 1112). */
export const CLOSED_NETWORKS = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4',
]
// Link-local is not among them: clouds serve credentials there (169.254.169.254). An app that needs it must name the address.
const PRIVATE_NETWORKS = ['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16']
/** The ports of a domain that names none: HTTP and HTTPS. */
const WEB_PORTS = [80, 443]
const ANY_BELOW = '*.'

/** Parses one allowance; fails with `bad-input`. */
export function egress(text: string): Egress {
  if (['internet', 'none', 'private', 'host'].includes(text)) return text as Egress
  const match = /^(?<to>[^:]+)(?::(?<port>\d{1,5}))?$/.exec(text)
  const port = match?.groups?.['port'] === undefined ? undefined : Number(match.groups['port'])
  const to = match?.groups?.['to'] ?? ''
  if (text.includes('::') || (text.match(/:/g)?.length ?? 0) > 1)
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}": apps have no IPv6 to reach it by`)
  if (match === null || (port !== undefined && (port < 1 || port > 65_535)))
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}": ${SPELLING}`)
  if (to === 'host') return text as Egress
  if (!/^[\d./]+$/.test(to)) return `${domain(to, text)}${port === undefined ? '' : `:${port}`}` as Egress
  network(to)
  return text as Egress
}

const SPELLING =
  'write none, private, host, host:PORT, an address or network such as 10.0.0.5:5432, or a domain such as api.example.com or *.example.com:8443'

/** The domain in the spelling by which names are compared. */
function domain(to: string, text: string): string {
  const fail = (): never => {
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}": ${SPELLING}`)
  }
  const below = to.startsWith(ANY_BELOW)
  // A name of one word is a slip more often than a host: prviate.
  if (/[^\p{L}\p{N}._*-]/u.test(to) || !to.includes('.')) fail()
  try {
    return `${below ? ANY_BELOW : ''}${hostname(below ? to.slice(ANY_BELOW.length) : to)}`
  } catch {
    return fail()
  }
}

/** Whether the allowance is a domain. */
const isDomain = (one: Egress): boolean => /[a-z]/.test(one) && one.includes('.')

/** Whether the list names domains, so that the app resolves names and reaches hosts through its node. */
export const namesDomains = (list: readonly Egress[] = []): boolean => list.some(isDomain)

/** Whether the allowance opens nothing but the internet, or less of it. */
export const opensOnlyInternet = (one: Egress): boolean => isDomain(one) || one === 'none' || one === 'internet'

/** The destinations that a list of allowances opens. */
export function destinationsOf(list: readonly Egress[]): Destinations {
  const destinations = list.flatMap((one): readonly Destination[] => {
    if (one === 'internet' || one === 'none' || isDomain(one)) return []
    if (one === 'private') return PRIVATE_NETWORKS.map(to => ({ to, port: undefined }))
    const { to, port } = split(one)
    return [{ to, port }]
  })
  const hosts = list.filter(isDomain).map((one): NamedHost => {
    const { to: name, port } = split(one)
    return { name, ports: port === undefined ? WEB_PORTS : [port] }
  })
  return { internet: hosts.length === 0 && !list.some(one => one === 'none'), destinations, hosts }
}

function split(one: Egress): { to: string; port: number | undefined } {
  const [to = '', port] = one.split(':')
  return { to, port: port === undefined ? undefined : Number(port) }
}

/** Why a host is refused that is not in the list. */
export const NOT_NAMED = 'its egress does not name it'

/** Whether the hosts include this one at this port; without a port, at any. */
export const reachesHost = (hosts: readonly NamedHost[], name: Hostname, port?: number): boolean =>
  hosts.some(host => (port === undefined || host.ports.includes(port)) && isNamed(host.name, name))

const isNamed = (pattern: string, name: string): boolean =>
  pattern.startsWith(ANY_BELOW) ? name.endsWith(pattern.slice(1)) && name.length > pattern.length - 1 : name === pattern
