import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'vitest'
import { readSettings } from '../../lib/settings.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { dnsUpdateOptions, dnsUpdateSettings } from './dns-settings.ts'

const SECRET = 'MDEyMzQ1Njc4OWFiY2RlZg=='
const GIVEN = {
  SHADOW_DNS_UPDATE: 'rfc2136://ns1.example.com',
  SHADOW_DNS_UPDATE_KEY: 'Shadow.Key.',
  SHADOW_DNS_UPDATE_SECRET: SECRET,
}
const read = (given: Record<string, string>) => dnsUpdateOptions(readSettings(dnsUpdateSettings, given))
const key = { name: 'shadow.key', secret: Buffer.from('0123456789abcdef') }

test('a server, a key and a secret are enough; nothing set means no updates', () => {
  assert.deepEqual(read(GIVEN), { server: { host: 'ns1.example.com', port: 53 }, key, zone: undefined })
  assert.equal(read({}), undefined)
})

test('the server may have a port or be an IPv6 address, and the zone may be set', () => {
  const at = (server: string) => read({ ...GIVEN, SHADOW_DNS_UPDATE: server, SHADOW_DNS_UPDATE_ZONE: 'Example.com.' })
  assert.deepEqual(at('rfc2136://10.0.0.2:5353')?.server, { host: '10.0.0.2', port: 5353 })
  assert.deepEqual(at('rfc2136://[fd00::2]:5353')?.server, { host: 'fd00::2', port: 5353 })
  assert.equal(at('rfc2136://[fd00::2]')?.zone, 'example.com')
})

test('the secret may be in a file', () => {
  const file = join(temporaryFolder('shadow-dns-'), 'secret')
  writeFileSync(file, `${SECRET}\n`)
  const { SHADOW_DNS_UPDATE_SECRET: _, ...rest } = GIVEN
  assert.deepEqual(read({ ...rest, SHADOW_DNS_UPDATE_SECRET_FILE: file })?.key, key)
  assert.throws(() => read({ ...rest, SHADOW_DNS_UPDATE_SECRET_FILE: `${file}-2` }), /secret-2 cannot be read/)
  writeFileSync(file, 'top secret')
  assert.throws(
    () => read({ ...rest, SHADOW_DNS_UPDATE_SECRET_FILE: file }),
    (error: Error) =>
      /has to have the secret in base64 alone/.test(error.message) && !error.message.includes('top secret'),
  )
})

test('what is missing or wrong is told, without the secret', () => {
  assert.throws(() => read({ SHADOW_DNS_UPDATE: 'rfc2136://a' }), /go together/)
  assert.throws(() => read({ SHADOW_DNS_UPDATE_KEY: 'a' }), /go together/)
  const hooked = { ...readSettings(dnsUpdateSettings, GIVEN), acmeDnsHook: 'https://hook' }
  assert.throws(() => dnsUpdateOptions(hooked), /SHADOW_ACME_DNS_HOOK are both set/)
  for (const server of ['ns1', 'https://ns1', 'rfc2136://', 'rfc2136://a:0', 'rfc2136://a:65536', 'rfc2136://a/b'])
    assert.throws(() => read({ ...GIVEN, SHADOW_DNS_UPDATE: server }), /is not rfc2136:\/\/HOST/, server)
  assert.throws(
    () => read({ ...GIVEN, SHADOW_DNS_UPDATE: `rfc2136://key:${SECRET}@ns1` }),
    (error: Error) => !error.message.includes(SECRET),
  )
  for (const name of ['a b', 'a..b', '-'.repeat(64)])
    assert.throws(() => read({ ...GIVEN, SHADOW_DNS_UPDATE_KEY: name }), /not the name of a TSIG key/, name)
  assert.throws(
    () => read({ ...GIVEN, SHADOW_DNS_UPDATE_SECRET: 'pass-word' }),
    (error: Error) => /in base64/.test(error.message) && !error.message.includes('pass-word'),
  )
})
