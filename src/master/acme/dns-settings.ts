import { readFileSync } from 'node:fs'
import { ShadowError } from '../../lib/errors.ts'
import { optionalSetting, type Values } from '../../lib/settings.ts'
import { hostname } from '../../model/hostname.ts'
import type { DnsUpdateOptions } from './dns-update.ts'

const DNS_PORT = 53

export const dnsUpdateSettings = {
  dnsUpdate: optionalSetting('SHADOW_DNS_UPDATE', updateServer, {
    help: 'primary DNS server that takes dynamic updates, such as rfc2136://ns1.example.com or rfc2136://10.0.0.2:5353; TXT records for orders by DNS are set and cleared there, by TCP',
  }),
  dnsUpdateKey: optionalSetting('SHADOW_DNS_UPDATE_KEY', keyName, {
    help: 'name of the TSIG key that signs the updates; its algorithm is hmac-sha256',
  }),
  dnsUpdateSecret: optionalSetting('SHADOW_DNS_UPDATE_SECRET', secret, {
    help: 'secret of that key in base64, as tsig-keygen prints it',
  }),
  dnsUpdateSecretFile: optionalSetting('SHADOW_DNS_UPDATE_SECRET_FILE', secretFile, {
    help: 'file with that secret, instead',
  }),
  dnsUpdateZone: optionalSetting('SHADOW_DNS_UPDATE_ZONE', zoneName, {
    help: 'zone that the updates are for; left out: the server is asked for the zone of each name',
  }),
}

type Given = Partial<Values<typeof dnsUpdateSettings>> & { readonly acmeDnsHook?: string | undefined }

/** Where and how zones are updated; undefined if they are not. Fails with `bad-input` if only a part of it is set. */
export function dnsUpdateOptions(given: Given): Omit<DnsUpdateOptions, 'clock'> | undefined {
  const { dnsUpdate: server, dnsUpdateKey: name, dnsUpdateZone: zone, acmeDnsHook } = given
  const bytes = given.dnsUpdateSecretFile ?? given.dnsUpdateSecret
  if (server === undefined && name === undefined && bytes === undefined && zone === undefined) return undefined
  if (server === undefined || name === undefined || bytes === undefined)
    throw wrong('SHADOW_DNS_UPDATE, SHADOW_DNS_UPDATE_KEY and SHADOW_DNS_UPDATE_SECRET (or its _FILE) go together')
  if (acmeDnsHook !== undefined)
    throw wrong(
      'SHADOW_DNS_UPDATE and SHADOW_ACME_DNS_HOOK are both set; one of them sets the TXT records: leave one out',
    )
  return { server, key: { name, secret: bytes }, zone }
}

const wrong = (what: string): ShadowError =>
  new ShadowError('bad-input', `settings are wrong: ${what}`, { hint: 'shadow help settings' })

function updateServer(value: string): { readonly host: string; readonly port: number } {
  const [, v6, name, port] =
    /^rfc2136:\/\/(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?\/?$/.exec(value) ?? []
  const host = v6 ?? name
  const number = port === undefined ? DNS_PORT : Number(port)
  if (host === undefined || number < 1 || number > 65_535)
    // Somebody may have put the secret into it, as into other URLs.
    throw new ShadowError(
      'bad-input',
      `${value.includes('@') ? 'it' : `"${value}"`} is not rfc2136://HOST, rfc2136://HOST:PORT or rfc2136://[IPV6]:PORT`,
    )
  return { host, port: number }
}

function keyName(value: string): string {
  const name = value.replace(/\.$/, '')
  if (name.length > 253 || !/^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$/.test(name))
    throw new ShadowError('bad-input', 'is not the name of a TSIG key, such as shadow or shadow.example.com')
  return name.toLowerCase()
}

function zoneName(value: string): string {
  return hostname(value.replace(/\.$/, ''))
}

/** Messages do not repeat the value, since it is a secret. */
function secret(value: string): Buffer {
  const bytes = Buffer.from(value, 'base64')
  if (bytes.length === 0 || bytes.toString('base64') !== value)
    throw new ShadowError('bad-input', 'is not a secret in base64, as tsig-keygen prints it')
  return bytes
}

function secretFile(path: string): Buffer {
  try {
    return secret(readFileSync(path, 'utf8').trim())
  } catch (cause) {
    if (cause instanceof ShadowError)
      throw new ShadowError('bad-input', `${path} has to have the secret in base64 alone, as tsig-keygen prints it`)
    throw new ShadowError('bad-input', `${path} cannot be read`, { cause })
  }
}
