import type { Hostname } from './hostname.ts'

/** A front by the addresses at which clients on the internet reach it. */
export type PublicFront = {
  readonly name: string
  readonly addresses: readonly string[]
  /** It has a name server. */
  readonly isNameServer: boolean
  /** It announces itself, and is not about to stop. */
  readonly isAlive: boolean
}

/** What the name servers of all fronts answer from. */
export type DnsView = {
  readonly zones: readonly Hostname[]
  /** Authorities that may issue certificates for names of the zones (CAA records); none: any may. */
  readonly authorities: readonly string[]
  readonly fronts: readonly PublicFront[]
}

/** The zone that has the name, the longest one of several; undefined if none has it. */
export function zoneOf(name: string, zones: readonly Hostname[]): Hostname | undefined {
  const around = zones.filter(zone => name === zone || name.endsWith(`.${zone}`))
  return around.sort((a, b) => b.length - a.length)[0]
}

/** The hostname of a front as a name server of the zone: `front-1.ns.apps.example.com`. */
export function nameServerHost(front: string, zone: Hostname): string {
  const label = front
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
  return `${label || 'front'}.ns.${zone}`
}

const CHALLENGE = '_acme-challenge.'
/** Whether the name is that of a TXT record by which an authority checks who has a domain (RFC 8555, 8.4). */
export const isChallengeName = (name: string): boolean => name.startsWith(CHALLENGE)
