import type { DomainState } from '../model/domain-state.ts'

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
export function missingOf(items: readonly DomainState[]): readonly string[] {
  // Where another hostname of the app leads rightly, this one may lead too.
  const fronts = items.find(({ front }) => front === 'front')?.addresses ?? []
  return items.flatMap(item => [...dnsMissing(item, fronts), ...certificateMissing(item)])
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
  return fronts.map(address => `"${hostname}. ${address.includes(':') ? 'AAAA' : 'A'} ${address}"`).join(' and ')
}

function certificateMissing({ hostname, order }: DomainState): string[] {
  if (order?.problem == null) return []
  const again = order.nextAt === null ? '' : `; tried again at ${order.nextAt}`
  return [`${hostname}: no new certificate: ${order.problem}${again}`]
}
