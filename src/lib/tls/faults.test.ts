import assert from 'node:assert/strict'
import { test } from 'vitest'
import { whyNotTrusted } from './faults.ts'

const NOW = Date.UTC(2026, 10, 29, 12)
const failed = (code: string): Error => Object.assign(new Error('no'), { code })

for (const code of ['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED'])
  test(`${code} names the clock and what it says`, () => {
    assert.match(
      whyNotTrusted(failed(code), 'the certificate of m', NOW) ?? '',
      /^the certificate of m .* by the clock of this machine, which says 2026-11-29T12:00:00\.000Z; is it right\?$/,
    )
    // node:tls gives the code of the other side's certificate as a text.
    assert.equal(whyNotTrusted(code, 'it', NOW), whyNotTrusted(failed(code), 'it', NOW))
  })

test('another CA and another name are told apart; other failures are none of a certificate', () => {
  assert.equal(whyNotTrusted(failed('SELF_SIGNED_CERT_IN_CHAIN'), 'it'), 'it is of another CA')
  assert.match(whyNotTrusted(failed('ERR_TLS_CERT_ALTNAME_INVALID'), 'it') ?? '', /^it is for another name/)
  for (const other of [failed('ECONNREFUSED'), undefined, new Error('no')])
    assert.equal(whyNotTrusted(other, 'it'), undefined)
})
