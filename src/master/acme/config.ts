import { readFileSync } from 'node:fs'
import { ShadowError } from '../../lib/errors.ts'
import { optionalSetting, setting, text, url, wholeNumber } from '../../lib/settings.ts'
import { hostname } from '../../model/hostname.ts'
import { durationMs } from '../../model/quantities.ts'
import { dnsUpdateSettings } from './dns-settings.ts'

/** Directories that are known by a name. */
const KNOWN: Readonly<Record<string, string>> = {
  letsencrypt: 'https://acme-v02.api.letsencrypt.org/directory',
  'letsencrypt-staging': 'https://acme-staging-v02.api.letsencrypt.org/directory',
}

export const acmeSettings = {
  acmeDirectory: optionalSetting('SHADOW_ACME_DIRECTORY', directory, {
    help: 'certificates are ordered by ACME at this directory: letsencrypt, letsencrypt-staging, or an URL; to set it is to agree to the terms of that authority; left out: none are ordered',
  }),
  acmeEmail: optionalSetting('SHADOW_ACME_EMAIL', text, {
    help: 'address that the authority may write to',
  }),
  acmeAccountBinding: optionalSetting('SHADOW_ACME_EAB', binding, {
    help: 'KID:KEY, for an authority that binds accounts to customers (external account binding); the key is in base64url, as the authority gives it',
  }),
  acmeCa: optionalSetting('SHADOW_ACME_CA', pemFile, {
    help: 'file with the certificates, PEM, that sign the HTTPS of a private ACME server; left out: those that Node.js trusts',
  }),
  acmeNewPerHour: setting('SHADOW_ACME_NEW_PER_HOUR', wholeNumber(1, 10_000), {
    default: '20',
    help: 'how many certificates for names that had none may be ordered in an hour, by all masters together; renewals do not count',
  }),
  acmeDnsNames: setting('SHADOW_ACME_DNS_NAMES', dnsNames, {
    default: 'none',
    help: 'names whose certificates are ordered by DNS (dns-01), separated by commas, such as *.apps.example.com; needs SHADOW_DNS_LISTEN at the fronts, SHADOW_DNS_UPDATE or SHADOW_ACME_DNS_HOOK',
  }),
  acmeDnsHook: optionalSetting('SHADOW_ACME_DNS_HOOK', url, {
    help: 'URL that is called to set and to clear TXT records for orders by DNS (docs/https.md)',
  }),
  acmeDnsHookToken: optionalSetting('SHADOW_ACME_DNS_HOOK_TOKEN', text, {
    help: 'sent to that URL as Authorization: Bearer TOKEN',
  }),
  acmeDnsWait: setting('SHADOW_ACME_DNS_WAIT', durationMs, {
    default: '10s',
    help: 'how long to wait after a record was set by SHADOW_DNS_UPDATE or SHADOW_ACME_DNS_HOOK, until all name servers have it',
  }),
  ...dnsUpdateSettings,
}

function directory(value: string): string {
  return KNOWN[value] ?? url(value)
}

function binding(value: string): { readonly kid: string; readonly key: string } {
  const [, kid, key] = /^(.+):([A-Za-z0-9_+/-]+=*)$/.exec(value) ?? []
  // The value is a secret, so it is not repeated.
  if (kid === undefined || key === undefined) throw new ShadowError('bad-input', 'is not KID:KEY with KEY in base64url')
  return { kid, key }
}

function pemFile(path: string): string {
  try {
    const pem = readFileSync(path, 'utf8')
    if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw new ShadowError('bad-input', `${path} has no certificate`)
    return pem
  } catch (cause) {
    throw cause instanceof ShadowError ? cause : new ShadowError('bad-input', `${path} cannot be read`, { cause })
  }
}

function dnsNames(value: string): readonly string[] {
  if (value === 'none') return []
  return value.split(',').map(one => {
    const name = one.trim()
    return name.startsWith('*.') ? `*.${hostname(name.slice(2))}` : hostname(name)
  })
}
