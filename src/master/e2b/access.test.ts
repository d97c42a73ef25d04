import assert from 'node:assert/strict'
import { test } from 'vitest'
import { Seals } from '../../lib/seals.ts'
import { newSeed, sandboxAccess, signatureOf, signedUrl } from './access.ts'

const access = sandboxAccess(new Seals([Buffer.alloc(32, 1)]))

test('a token follows from seed and key alone, and opens that one sandbox', () => {
  const [seed, other] = [newSeed(), newSeed()]
  const same = sandboxAccess(new Seals([Buffer.alloc(32, 1)]))
  assert.equal(same.tokenOf(seed), access.tokenOf(seed))
  assert.notEqual(sandboxAccess(new Seals([Buffer.alloc(32, 2)])).tokenOf(seed), access.tokenOf(seed))
  assert.notEqual(access.trafficTokenOf(seed), access.tokenOf(seed))
  access.mustOpen({ seed }, access.tokenOf(seed))
  for (const shown of [undefined, '', seed, access.tokenOf(other), access.trafficTokenOf(seed)])
    assert.throws(() => access.mustOpen({ seed }, shown), { code: 'unauthorised' })
  // It was revoked.
  assert.throws(() => access.mustOpen({}, access.tokenOf(seed)), { code: 'unauthorised' })
})

test('a signature is as the clients of E2B make it, and holds for its path, operation, user and time', () => {
  const url = { path: '/home/user/a b', operation: 'read', user: '', until: '1700000000' } as const
  // printf '%s' '/home/user/a b:read::token:1700000000' | openssl dgst -sha256 -binary | base64
  assert.equal(signatureOf(url, 'token'), 'v1_vymouh0qvSfrM7YXt+RZgfY/GctBkyr65j4R265T9jk')
  const seed = newSeed()
  const signature = signatureOf(url, access.tokenOf(seed))
  assert.ok(access.hasSigned({ seed }, { ...url, signature }))
  for (const changed of [
    { path: '/etc/passwd' },
    { operation: 'write' as const },
    { user: 'root' },
    { until: '1800000000' },
    { until: undefined },
  ])
    assert.ok(!access.hasSigned({ seed }, { ...url, ...changed, signature }), JSON.stringify(changed))
  assert.ok(!access.hasSigned({ seed: newSeed() }, { ...url, signature }))
  assert.ok(!access.hasSigned({}, { ...url, signature }))
})

test('a signature counts until its time, and a URL without one is none', () => {
  const query = (more: string) => new URLSearchParams(`path=/a&signature=v1_x${more}`)
  assert.equal(signedUrl(new URLSearchParams('path=/a'), 'GET', 0), undefined)
  assert.equal(signedUrl(query(''), 'GET', 9e15)?.until, undefined)
  assert.equal(signedUrl(query('&signature_expiration=10'), 'POST', 9_999)?.operation, 'write')
  for (const until of ['10', '0', '-1', '1e9', '', '99999999999999'])
    assert.throws(
      () => signedUrl(query(`&signature_expiration=${until}`), 'GET', 10_000),
      { code: 'unauthorised' },
      until,
    )
})
