import { ShadowError } from '../lib/errors.ts'
import { network } from './access.ts'

/**
 * What an app may reach besides its own hostnames: `internet` (the default), `none`, `private`, `host`, `host:PORT`, or an IPv4
 * address or network, with or without `:PORT`.
 */
export type Egress = string & { readonly brand: 'Egress' }

/** A destination: a network, or this machine itself; with `port`, that port only. */
export type Destination = { readonly to: string | 'host'; readonly port: number | undefined }
/** What an app may reach besides its own hostnames. `internet`: all but CLOSED_NETWORKS. */
export type Destinations = { readonly internet: boolean; readonly destinations: readonly Destination[] }

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
  if (!/^[\d./]+$/.test(to))
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}": ${SPELLING}; what a name stands for may change`)
  network(to)
  return text as Egress
}

const SPELLING = 'write none, private, host, host:PORT, or an address or network such as 10.0.0.5:5432'

/** The destinations that a list of allowances opens. */
export function destinationsOf(list: readonly Egress[]): Destinations {
  const destinations = list.flatMap((one): readonly Destination[] => {
    if (one === 'internet' || one === 'none') return []
    if (one === 'private') return PRIVATE_NETWORKS.map(to => ({ to, port: undefined }))
    const [to = '', port] = one.split(':')
    return [{ to, port: port === undefined ? undefined : Number(port) }]
  })
  return { internet: !list.some(one => one === 'none'), destinations }
}
