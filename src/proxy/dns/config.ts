import { ShadowError } from '../../lib/errors.ts'
import { ipOf } from '../../lib/ip.ts'
import { listenAddress, optionalSetting, setting, type Values } from '../../lib/settings.ts'

const MOST_ADDRESSES = 16

export const dnsSettings = {
  publicAddresses: setting('SHADOW_PUBLIC_ADDRESSES', addresses, {
    default: 'none',
    help: 'IP addresses at which clients reach this front, separated by commas; the name servers of all fronts answer with those of the fronts that are alive (docs/dns.md); none: this front is in no answer',
  }),
  dnsListen: optionalSetting('SHADOW_DNS_LISTEN', listenAddress('0.0.0.0'), {
    help: 'address that the front listens on as a name server of the zones of the cluster, by UDP and TCP, such as 0.0.0.0:53; needs SHADOW_PUBLIC_ADDRESSES; left out: none',
  }),
}

export type DnsConfig = Values<typeof dnsSettings>

function addresses(value: string): readonly string[] {
  if (value === 'none') return []
  const list = value.split(',').map(one => {
    const ip = ipOf(one.trim())
    if (ip === undefined) throw new ShadowError('bad-input', `"${one.trim()}" is no IP address`)
    return ip
  })
  if (list.length > MOST_ADDRESSES)
    throw new ShadowError('bad-input', `has ${list.length} addresses; ${MOST_ADDRESSES} at most`)
  return [...new Set(list)]
}
