import type { Clock } from '../../lib/clock.ts'
import type { DnsView } from '../../model/dns.ts'
import type { MasterConfig } from '../config.ts'
import type { Storage } from '../storage/storage.ts'
import { type PublicFronts, publicFronts } from './public-fronts.ts'
import { type DnsTexts, dnsTexts } from './texts.ts'

type Given = {
  readonly config: MasterConfig
  readonly storage: Storage
  readonly revoked: () => Promise<readonly string[]>
  readonly clock: Clock
}

/** What masters know for the name servers of the fronts. */
export type Dns = {
  readonly fronts: Pick<PublicFronts, 'announce'>
  readonly texts: DnsTexts
  view(): Promise<DnsView>
}

export function openDns({ config, storage, revoked, clock }: Given): Dns {
  const { dnsZones: zones = [config.appsDomain], dnsAuthorities: authorities } = config
  const fronts = publicFronts({ storage, revoked, clock })
  const view = async (): Promise<DnsView> => ({ zones, authorities, fronts: await fronts.all() })
  return { fronts, texts: dnsTexts({ storage, clock }), view }
}
