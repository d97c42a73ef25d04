import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { describe, test } from 'vitest'
import { isFailure } from '../errors.ts'
import { authorityCertificate, certificateRequest, newPrivateKey, publicKeyIn, signCertificate } from './x509.ts'

const DAY_MS = 86_400_000
const FROM = Date.UTC(2026, 10, 29)

async function anAuthority() {
  const key = newPrivateKey()
  return {
    key,
    certificate: await authorityCertificate({ name: 'test CA', key, from: FROM, until: FROM + 10 * DAY_MS }),
  }
}

const wanted = { name: 'node-2', hosts: ['node-2.node.shadow'], isServer: true, from: FROM, until: FROM + 7 * DAY_MS }

describe('a signed certificate', async () => {
  const authority = await anAuthority()
  const key = newPrivateKey()
  const request = await certificateRequest(key)
  const leaf = new X509Certificate(await signCertificate(authority, { ...wanted, request }))
  const ca = new X509Certificate(authority.certificate)

  test('is of the key that asked for it, and of the authority that signed it', () => {
    assert.ok(leaf.checkPrivateKey(createPrivateKey(key)))
    assert.ok(leaf.checkIssued(ca))
    assert.ok(leaf.verify(ca.publicKey))
    assert.ok(!leaf.ca && ca.ca)
  })

  test('has the names and the time that it was asked for', () => {
    assert.equal(leaf.subjectAltName, 'DNS:node-2.node.shadow')
    assert.equal(leaf.subject, 'CN=node-2')
    assert.equal(Date.parse(leaf.validFrom), FROM)
    assert.equal(Date.parse(leaf.validTo), FROM + 7 * DAY_MS)
    assert.equal(leaf.checkHost('node-2.node.shadow'), 'node-2.node.shadow')
    assert.equal(leaf.checkHost('node-1.node.shadow'), undefined)
  })

  test('is for servers only if that was asked for', async () => {
    const SERVER = '1.3.6.1.5.5.7.3.1'
    assert.ok(leaf.keyUsage.includes(SERVER))
    const client = new X509Certificate(await signCertificate(authority, { ...wanted, isServer: false, request }))
    assert.deepEqual(client.keyUsage, ['1.3.6.1.5.5.7.3.2'])
  })

  test('has a serial number of its own', async () => {
    const other = new X509Certificate(await signCertificate(authority, { ...wanted, request }))
    assert.notEqual(other.serialNumber, leaf.serialNumber)
  })
})

test('another authority of the same name has not signed it', async () => {
  const [one, other] = [await anAuthority(), await anAuthority()]
  const leaf = await signCertificate(one, { ...wanted, request: await certificateRequest(newPrivateKey()) })
  assert.equal(new X509Certificate(leaf).verify(new X509Certificate(other.certificate).publicKey), false)
})

test('a request that was changed, or is none, is refused', async () => {
  const request = await certificateRequest(newPrivateKey())
  const other = await certificateRequest(newPrivateKey())
  const bytes = Buffer.from(request.replace(/-----.*-----|\s/g, ''), 'base64')
  const others = Buffer.from(other.replace(/-----.*-----|\s/g, ''), 'base64')
  const at = bytes.indexOf(Buffer.from('034200', 'hex')) // the public key: a bit string of 66 bytes
  others.copy(bytes, at, at, at + 68)
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----`
  for (const bad of [pem, 'nothing', '']) await assert.rejects(publicKeyIn(bad), error => isFailure(error, 'bad-input'))
  assert.equal((await publicKeyIn(request)).length, 91)
})
