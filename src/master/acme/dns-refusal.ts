import { ALGORITHM, TSIG_ERROR, type Tsig, type TsigKey } from '../../lib/dns/tsig.ts'
import { type DnsMessage, OPCODE, RCODE } from '../../lib/dns/wire-format.ts'

const NAMES = new Map<number, string>(Object.entries(RCODE).map(([name, code]) => [code, name]))

type Asked = { readonly key: TsigKey; readonly zone: string; readonly now: number }

/** Why the server did not do what it was asked for, and what mends it; undefined if it did. */
export function refusalOf(
  { rcode, opcode }: Pick<DnsMessage, 'rcode' | 'opcode'>,
  tsig: Tsig | undefined,
  { key, zone, now }: Asked,
): string | undefined {
  if (tsig !== undefined && tsig.error !== 0) return keyRefusal(tsig, key, now)
  const isQuery = opcode === OPCODE.QUERY
  // A query for a name that is not there yet still tells its zone.
  if (rcode === RCODE.NOERROR || (isQuery && rcode === RCODE.NXDOMAIN)) return undefined
  switch (rcode) {
    case RCODE.REFUSED:
      if (isQuery)
        return `it has no zone for ${zone} (REFUSED): set SHADOW_DNS_UPDATE to the primary server of the zone`
      return `it refuses the key ${key.name} for ${zone} (REFUSED): allow the key there, by allow-update or update-policy in BIND`
    case RCODE.NOTAUTH:
      return `it is not the primary server of the zone ${zone} (NOTAUTH): correct SHADOW_DNS_UPDATE or SHADOW_DNS_UPDATE_ZONE`
    case RCODE.NOTZONE:
      return `the name is not in the zone ${zone} (NOTZONE): correct SHADOW_DNS_UPDATE_ZONE, or leave it out`
    case RCODE.SERVFAIL:
      return 'it failed (SERVFAIL): see its log; BIND, for example, must be able to write the folder of the zone'
    default:
      return `it answered ${NAMES.get(rcode) ?? `code ${rcode}`}: see its log`
  }
}

function keyRefusal({ error, other }: Tsig, key: TsigKey, now: number): string {
  switch (error) {
    case TSIG_ERROR.BADSIG:
      return `its secret for the key ${key.name} is another one (BADSIG): correct SHADOW_DNS_UPDATE_SECRET`
    case TSIG_ERROR.BADKEY:
      return `it has no key ${key.name} for ${ALGORITHM} (BADKEY): correct SHADOW_DNS_UPDATE_KEY, or add the key to the server`
    case TSIG_ERROR.BADTIME: {
      const its = other.length === 6 ? ` says ${timeOf(other.readUIntBE(0, 6) * 1_000)}` : ' differs'
      return `its clock${its}, and the clock of this master ${timeOf(now)} (BADTIME): set both by NTP`
    }
    default:
      return `it does not take the signature (TSIG error ${error}): see its log`
  }
}

/** Any number of seconds that a server may send, as a time. */
function timeOf(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? `${ms} ms since 1970` : date.toISOString()
}
