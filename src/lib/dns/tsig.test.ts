import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isSignedBy, signMessage, TSIG_ERROR, tsigOf } from './tsig.ts'
import { decodeMessage } from './wire-format.ts'

// Made by dnspython 2 at the time 1800000000: an update, its signature, and the signed answer.
const UPDATE =
  '123428000001000000010000076578616d706c6503636f6d00000600010f5f61636d652d6368616c6c656e6765c00c001000010000003c00070667666a395871'
const SIGNATURE =
  '06736861646f77036b65790000fa00ff00000000003d0b686d61632d7368613235360000006b49d200012c0020cbf1ea0b19a0feb78b9087691e811c36e44d83dee0f15c46bcb5a040047f82d5123400000000'
const ANSWER =
  '1234a8000001000000000001076578616d706c6503636f6d000006000106736861646f77036b65790000fa00ff00000000003d0b686d61632d7368613235360000006b49d200012c002066f672281f8e7dd7451bd45c4e8e2f1c8b049e95bb57eb55cc22eef9460071a4123400000000'
const TIME = 1_800_000_000
const key = { name: 'shadow.key', secret: Buffer.from('0123456789abcdef0123456789abcdef') }
const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const { signed, mac } = signMessage(hex(UPDATE), key, TIME)

test('a message is signed as another program signs it', () => {
  assert.equal(signed.toString('hex'), UPDATE.replace(/^(.{20})0000/, '$10001') + SIGNATURE)
})

test('the answer that another program has signed is accepted, for this question and this key only', () => {
  const isGood = (bytes: Buffer, by = key, requestMac: Buffer | undefined = mac): boolean =>
    isSignedBy(bytes, decodeMessage(bytes), by, requestMac)
  assert.equal(isGood(hex(ANSWER)), true)
  assert.equal(isGood(hex(ANSWER), { ...key, name: 'Shadow.KEY' }), true, 'names are compared without case')
  assert.equal(isGood(hex(ANSWER), { ...key, name: 'other.key' }), false)
  assert.equal(isGood(hex(ANSWER), { ...key, secret: Buffer.from('another') }), false)
  assert.equal(isGood(hex(ANSWER), key, Buffer.alloc(32)), false)
  assert.equal(isGood(hex(UPDATE)), false, 'without a signature')
  assert.equal(isGood(hex(ANSWER.replace('1234a800', '1234a803'))), false, 'changed on its way')
})

test('no changed byte of an answer leaves its signature right', () => {
  const answer = hex(ANSWER)
  // These two are the id of the message, which a forwarder may change: the signature is over the original id.
  for (let at = 2; at < answer.length; at += 1) {
    const changed = Buffer.from(answer)
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
    let isGood = false
    try {
      isGood = isSignedBy(changed, decodeMessage(changed), key, mac)
    } catch {} // it is malformed now
    assert.equal(isGood, false, `byte ${at}`)
  }
})

test('a signature that is cut short is not accepted, even an empty one', () => {
  for (const length of [0, 10, 16, 31]) {
    const decoded = decodeMessage(hex(ANSWER))
    const tsig = decoded.tsig ?? assert.fail()
    // The MAC begins after the algorithm (13), the time (6), the fudge (2) and its size (2).
    const data = Buffer.concat([tsig.data.subarray(0, 23 + length), tsig.data.subarray(23 + 32)])
    data.writeUInt16BE(length, 21)
    assert.equal(isSignedBy(hex(ANSWER), { ...decoded, tsig: { ...tsig, data } }, key, mac), false)
  }
})

test('the parts of a signature are read, with the time of a server whose clock differs', () => {
  const other = Buffer.alloc(6)
  other.writeUIntBE(TIME + 1_000, 0, 6)
  const answer = signMessage(hex(UPDATE), key, TIME, { requestMac: mac, error: TSIG_ERROR.BADTIME, other })
  const read = tsigOf(decodeMessage(answer.signed))
  assert.deepEqual(read, {
    ...{ keyName: 'shadow.key', algorithm: 'hmac-sha256', signedAt: TIME, fudge: 300 },
    ...{ mac: answer.mac, originalId: 0x1234, error: 18, other },
  })
  assert.equal(isSignedBy(answer.signed, decodeMessage(answer.signed), key, mac), true)
})
