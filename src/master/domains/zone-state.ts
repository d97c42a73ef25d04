import { Resolver } from 'node:dns/promises'
import { orAborted } from '../../lib/abort.ts'
import { systemCode } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { type DnsView, nameServerHost, zoneOf } from '../../model/dns.ts'
import type { ZoneState } from '../../model/domain-state.ts'
import type { Hostname } from '../../model/hostname.ts'

type Options = {
  readonly view: DnsView
  readonly signal: AbortSignal
  readonly resolve?: (zone: string) => Promise<readonly string[]>
}

const TIMEOUT_MS = 2_000
const TRIES = 2

/** The zones of the fronts' name servers that have one of the hostnames, and to which name servers the zones above lead. */
export async function zoneStates(
  hostnames: readonly Hostname[],
  { view, signal, resolve = nameServersOf }: Options,
): Promise<readonly ZoneState[]> {
  const servers = view.fronts.filter(({ isNameServer }) => isNameServer)
  if (servers.length === 0) return []
  const zones = new Set(hostnames.flatMap(hostname => zoneOf(hostname, view.zones) ?? []))
  return await mapAtMost(4, [...zones], async zone => {
    const nameServers = servers.map(({ name, addresses }) => ({ name: nameServerHost(name, zone), addresses }))
    try {
      const found = await orAborted(resolve(zone), signal)
      return { zone, nameServers, found: found.map(name => name.toLowerCase()).sort(), fault: null }
    } catch (error) {
      return { zone, nameServers, found: [], fault: signal.aborted ? 'ETIMEOUT' : (systemCode(error) ?? 'unknown') }
    }
  })
}

const nameServersOf = (zone: string): Promise<readonly string[]> =>
  new Resolver({ timeout: TIMEOUT_MS, tries: TRIES }).resolveNs(zone)
