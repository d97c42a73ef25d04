import type { DnsQuery } from '../../lib/dns/query.ts'
import { addressData, anyData, authorityData, nameServerData, soaData, textData } from '../../lib/dns/records.ts'
import type { DnsResponse } from '../../lib/dns/response.ts'
import { CLASS, type DnsRecord, RCODE, TYPE } from '../../lib/dns/wire-format.ts'
import { type DnsView, isChallengeName, nameServerHost, type PublicFront } from '../../model/dns.ts'
import type { Hostname } from '../../model/hostname.ts'

/** Short, so that clients soon leave a front that is lost. */
const ADDRESS_TTL_S = 30
/** Of what changes only as fronts are added and removed. */
const ZONE_TTL_S = 300
/** For how long resolvers keep that something is not there. */
const NEGATIVE_TTL_S = 5
const MOST_ADDRESSES = 8
const MOST_NAME_SERVERS = 8

type Asked = Pick<DnsQuery, 'name' | 'type'>
type Known = {
  readonly zone: Hostname
  readonly view: DnsView
  /** The TXT records of the name, if it is one of a challenge. */
  readonly texts: readonly string[]
  /** As Math.random. */
  readonly random: () => number
}

/**
 * The answer to a question about a name in the zone. Every hostname is there, whether or not an app has it: the fronts know what they serve, and a new
 * hostname works at once. Names that can be no hostnames are not there, except for those of challenges.
 */
export function zoneAnswer({ name, type }: Asked, { zone, view, texts, random }: Known): DnsResponse {
  const servers = view.fronts.filter(({ isNameServer }) => isNameServer).slice(0, MOST_NAME_SERVERS)
  const record = (ttl: number, data: Pick<DnsRecord, 'type' | 'data'>, of: string = name): DnsRecord => ({
    ...{ name: of, class: CLASS.IN, ttl, ...data },
  })
  const soa = (ttl: number): DnsRecord =>
    record(
      ttl,
      soaData({
        server: servers[0] === undefined ? zone : nameServerHost(servers[0].name, zone),
        mailbox: `hostmaster.${zone}`,
        ...{ serial: 1, refreshSeconds: 3_600, retrySeconds: 600, expireSeconds: 86_400 },
        negativeSeconds: NEGATIVE_TTL_S,
      }),
      zone,
    )
  const answer = (answers: readonly DnsRecord[], additional: readonly DnsRecord[] = []): DnsResponse =>
    answers.length > 0
      ? { rcode: RCODE.NOERROR, isAuthoritative: true, answers, additional }
      : { rcode: RCODE.NOERROR, isAuthoritative: true, authority: [soa(NEGATIVE_TTL_S)] }

  const isApex = name === zone
  if (!isApex && !isChallengeName(name) && !isHostname(name.slice(0, -zone.length - 1)))
    return { rcode: RCODE.NXDOMAIN, isAuthoritative: true, authority: [soa(NEGATIVE_TTL_S)] }
  if (type === TYPE.ANY) return answer([record(ZONE_TTL_S, anyData())])
  if (isChallengeName(name)) return answer(type === TYPE.TXT ? texts.map(text => record(0, textData(text))) : [])
  if (type === TYPE.A || type === TYPE.AAAA) {
    const own = servers.filter(({ name: front }) => nameServerHost(front, zone) === name)
    const ttl = own.length > 0 ? ZONE_TTL_S : ADDRESS_TTL_S
    const addresses = own.length > 0 ? own.flatMap(front => front.addresses) : addressesOf(view.fronts)
    const records = addresses.map(address => record(ttl, addressData(address))).filter(one => one.type === type)
    return answer(shuffled(records, random).slice(0, MOST_ADDRESSES))
  }
  if (!isApex) return answer([])
  if (type === TYPE.SOA) return answer([soa(ZONE_TTL_S)])
  if (type === TYPE.NS) {
    const names = new Map(servers.map(server => [nameServerHost(server.name, zone), server]))
    const glue = [...names].flatMap(([of, { addresses }]) =>
      addresses.map(address => record(ZONE_TTL_S, addressData(address), of)),
    )
    return answer(
      [...names.keys()].map(of => record(ZONE_TTL_S, nameServerData(of))),
      glue,
    )
  }
  if (type === TYPE.CAA)
    return answer(
      view.authorities.flatMap(one =>
        (['issue', 'issuewild'] as const).map(property => record(ZONE_TTL_S, authorityData(property, one))),
      ),
    )
  return answer([])
}

/** The addresses of the fronts that are alive. If none is, those of all: the masters may be wrong, and an address may work where none cannot. */
function addressesOf(fronts: readonly PublicFront[]): readonly string[] {
  const reachable = fronts.filter(({ addresses }) => addresses.length > 0)
  const alive = reachable.filter(({ isAlive }) => isAlive)
  return (alive.length > 0 ? alive : reachable).flatMap(({ addresses }) => addresses)
}

/** Whether an app, a session, one of its ports, or a wildcard may have the name. Names with an underscore are no hostnames (RFC 8552). */
const isHostname = (labels: string): boolean =>
  /^(?:\*|(?!-)[a-z0-9-]+(?<!-))(?:\.(?!-)[a-z0-9-]+(?<!-))*$/.test(labels)

function shuffled<T>(list: readonly T[], random: () => number): readonly T[] {
  return list
    .map(one => [random(), one] as const)
    .sort(([a], [b]) => a - b)
    .map(([, one]) => one)
}
