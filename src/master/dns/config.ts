import { ShadowError } from '../../lib/errors.ts'
import { optionalSetting, setting } from '../../lib/settings.ts'
import { type Hostname, hostname } from '../../model/hostname.ts'

export const dnsSettings = {
  dnsZones: optionalSetting('SHADOW_DNS_ZONES', zones, {
    help: 'zones that the name servers of the fronts answer for (SHADOW_DNS_LISTEN), separated by commas; left out: SHADOW_APPS_DOMAIN (docs/dns.md)',
  }),
  dnsAuthorities: setting('SHADOW_DNS_CAA', authorities, {
    default: 'none',
    help: 'authorities that alone may issue certificates for names of these zones (CAA records), separated by commas, such as letsencrypt.org; none: any may',
  }),
}

function zones(value: string): readonly Hostname[] {
  return value.split(',').map(one => hostname(one.trim()))
}

function authorities(value: string): readonly string[] {
  if (value === 'none') return []
  return value.split(',').map(one => {
    const name = one.trim()
    if (!/^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(name))
      throw new ShadowError('bad-input', `"${name}" is not the domain of an authority, such as letsencrypt.org`)
    return name
  })
}
