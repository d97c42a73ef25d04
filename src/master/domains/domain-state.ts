import { lookup } from 'node:dns/promises'
import { BlockList, isIPv6 } from 'node:net'
import { isFront } from '../../api/front-probe.ts'
import { deadline, orAborted } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { systemCode } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { type DomainState, isLocalName } from '../../model/domain-state.ts'
import { certificateAt } from './certificate.ts'

/** What is seen of a hostname from outside. */
type SeenDomain = Omit<DomainState, 'order'>

const AT_ONCE = 16
const WITHIN_MS = 8_000

type Options = {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Whether servers at addresses of private networks are asked as well: whoever may register hostnames could scan these networks. */
  readonly mayAskPrivate: boolean
  readonly lookUp?: (hostname: string) => Promise<readonly string[]>
  readonly ports?: { readonly http: number; readonly https: number }
}

/** What is known of hostnames within `WITHIN_MS`: what takes longer counts as no answer. */
export async function domainStates(hostnames: readonly string[], options: Options): Promise<SeenDomain[]> {
  using limit = deadline(options.clock, WITHIN_MS, () => new Error('no answer'))
  const signal = AbortSignal.any([options.signal, limit.signal])
  return await mapAtMost(AT_ONCE, hostnames, hostname => stateOf(hostname, { ...options, signal }))
}

async function stateOf(hostname: string, options: Options): Promise<SeenDomain> {
  const { signal, mayAskPrivate, lookUp = addressesOf, ports } = options
  const about = { hostname, isLocal: isLocalName(hostname) }
  const found = await orAborted(lookUp(hostname), signal).catch((error: unknown) =>
    signal.aborted ? 'ETIMEOUT' : (systemCode(error) ?? 'unknown'),
  )
  if (typeof found === 'string') return { ...about, addresses: [], fault: found, front: null, certificate: null }
  const known = { ...about, addresses: found, fault: null }
  const address = found.find(one => mayAskPrivate || !isPrivate(one))
  if (address === undefined) return { ...known, front: null, certificate: null }
  const [front, certificate] = await Promise.all([
    isFront(hostname, { signal, address, agent: 'shadow-master', ...(ports && { port: ports.http }) }),
    certificateAt(hostname, { signal, address, ...(ports && { port: ports.https }) }),
  ])
  return { ...known, front: front === true ? 'front' : front === false ? 'other' : 'nobody', certificate }
}

const addressesOf = async (hostname: string): Promise<readonly string[]> =>
  (await lookup(hostname, { all: true })).map(({ address }) => address)

const PRIVATE = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
] as const)
  PRIVATE.addSubnet(network, bits)
for (const [network, bits] of [
  ['::', 96],
  ['64:ff9b::', 96],
  ['fc00::', 7],
  ['fe80::', 10],
] as const)
  PRIVATE.addSubnet(network, bits, 'ipv6')

/** Whether an address leads to a network that strangers do not reach. IPv4 inside IPv6 counts as the IPv4 address. @internal */
export const isPrivate = (address: string): boolean => PRIVATE.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
