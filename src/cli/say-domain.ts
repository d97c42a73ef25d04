import type { DomainState, ZoneState } from '../model/domain-state.ts'

/** The hostname, where it leads, and its certificate, for a table. */
export function domainRow({ hostname, addresses, front, certificate, order }: DomainState): readonly string[] {
  const who = { front: 'a front', other: 'something else', nobody: 'nobody answers', none: 'not asked' }
  const leads = addresses.length === 0 ? 'no address' : `${addresses.join(', ')}: ${who[front ?? 'none']}`
  const shown =
    certificate === null
      ? 'none'
      : certificate.fault === null
        ? `${certificate.issuer}, until ${certificate.until}`
        : `${certificate.issuer}: browsers refuse it (${certificate.fault})`
  return [hostname, leads, order?.problem == null ? shown : `${shown}; the last order failed`]
}

/** What has to be done, a sentence for each thing that is missing. */
export function missingOf(items: readonly DomainState[], zones: readonly ZoneState[]): readonly string[] {
  // Where another hostname of the app leads rightly, this one may lead too.
  const fronts = items.find(({ front }) => front === 'front')?.addresses ?? []
  const broken = zones.filter(zone => zoneMissing(zone).length > 0)
  // A hostname of a zone that does not lead to the fronts needs no record of its own.
  const isInBroken = ({ hostname }: DomainState): boolean =>
    broken.some(({ zone }) => hostname === zone || hostname.endsWith(`.${zone}`))
  return [
    ...zones.flatMap(zoneMissing),
    ...items.flatMap(item => [...(isInBroken(item) ? [] : dnsMissing(item, fronts)), ...certificateMissing(item)]),
  ]
}

/** The records by which the zone above has to lead to the fronts. */
function zoneMissing({ zone, nameServers, found, fault }: ZoneState): string[] {
  const missing = nameServers.filter(({ name }) => !found.includes(name))
  if (missing.length === 0) return []
  const others = found.filter(name => !nameServers.some(one => one.name === name))
  const records = [
    ...missing.map(({ name }) => `"${zone}. NS ${name}."`),
    ...missing.flatMap(({ name, addresses }) => addresses.map(address => addressRecord(name, address))),
  ].join(' and ')
  if (fault !== null && fault !== 'ENOTFOUND' && fault !== 'ENODATA')
    return [
      `${zone}: its name servers give no answer (${fault}); open port 53 of the fronts for UDP and TCP; the zone above needs ${records}`,
    ]
  const now = others.length === 0 ? '' : ` in place of ${others.join(' and ')}`
  return [`${zone}: the fronts are its name servers, but the zone above does not say so; add there ${records}${now}`]
}

function dnsMissing({ hostname, isLocal, addresses, fault, front }: DomainState, fronts: readonly string[]): string[] {
  const records = recordsOf(hostname, fronts)
  const at = addresses.join(', ')
  if (addresses.length === 0) {
    if (isLocal) return [`${hostname}: no name server knows such a name; it works on this machine alone`]
    const isAbsent = fault === 'ENOTFOUND' || fault === 'ENODATA'
    if (isAbsent) return [`${hostname}: a DNS record is missing; add ${records}`]
    return [
      `${hostname}: the name servers give no answer (${fault ?? 'unknown'}); look at the zone, its NS records and DNSSEC`,
    ]
  }
  if (front === 'other')
    return [
      `${hostname}: its DNS record leads to ${at}, where something other than a front answers; change it to ${records}`,
    ]
  if (front === 'nobody')
    return [
      `${hostname}: its DNS record leads to ${at}, where nobody answers on port 80; change it to ${records}, or open port 80 there`,
    ]
  return []
}

/** The records that the zone should have. */
function recordsOf(hostname: string, fronts: readonly string[]): string {
  if (fronts.length === 0) return `"${hostname}. A ADDRESS", with the public address of a front (AAAA for IPv6)`
  return fronts.map(address => addressRecord(hostname, address)).join(' and ')
}

const addressRecord = (name: string, address: string): string =>
  `"${name}. ${address.includes(':') ? 'AAAA' : 'A'} ${address}"`

function certificateMissing({ hostname, order }: DomainState): string[] {
  if (order?.problem == null) return []
  const again = order.nextAt === null ? '' : `; tried again at ${order.nextAt}`
  return [`${hostname}: no new certificate: ${order.problem}${again}`]
}
