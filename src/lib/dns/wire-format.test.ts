import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import { tsigOf } from './tsig.ts'
import {
  CLASS,
  DnsFormatError,
  type DnsMessage,
  decodeMessage,
  encodeMessage,
  encodeName,
  encodeText,
  OPCODE,
  TYPE,
} from './wire-format.ts'

// Made by dnspython 2: a signed update with compressed names, and the answer for an SOA record of a name that is not there.
const UPDATE =
  '123428000001000000010001076578616d706c6503636f6d00000600010f5f61636d652d6368616c6c656e6765c00c001000010000003c00070667666a39587106736861646f77036b65790000fa00ff00000000003d0b686d61632d7368613235360000006b49d200012c0020cbf1ea0b19a0feb78b9087691e811c36e44d83dee0f15c46bcb5a040047f82d5123400000000'
const SOA_ANSWER =
  '0007850000010000000100000f5f61636d652d6368616c6c656e67650461707073076578616d706c6503636f6d0000060001c021000600010000003c0021036e7331c02104726f6f74c0210000000100000002000000030000000400000005'

const NOTHING = { isResponse: false, isAuthoritative: false, rcode: 0, answers: [], additional: [] }
const update: DnsMessage = {
  ...NOTHING,
  id: 0x1234,
  opcode: OPCODE.UPDATE,
  questions: [{ name: 'example.com', type: TYPE.SOA, class: CLASS.IN }],
  authority: [
    { name: '_acme-challenge.example.com', type: TYPE.TXT, class: CLASS.IN, ttl: 60, data: encodeText('gfj9Xq') },
  ],
}

test('an update is written as the RFC says, byte by byte', () => {
  const header = '12342800 0001 0000 0001 0000'
  const zone = '07 6578616d706c65 03 636f6d 00 0006 0001'
  const name = '0f 5f61636d652d6368616c6c656e6765 07 6578616d706c65 03 636f6d 00'
  const record = '0010 0001 0000003c 0007 06 67666a395871'
  assert.equal(encodeMessage(update).toString('hex'), (header + zone + name + record).replaceAll(' ', ''))
})

test('what another program wrote is read, with compressed names', () => {
  const { tsig, tsigAt, ...read } = decodeMessage(Buffer.from(UPDATE, 'hex'))
  assert.deepEqual(read, update)
  assert.deepEqual([tsig?.name, tsig?.type, tsigAt], ['shadow.key', TYPE.TSIG, 64])
  const answer = decodeMessage(Buffer.from(SOA_ANSWER, 'hex'))
  assert.deepEqual([answer.id, answer.isResponse, answer.isAuthoritative], [7, true, true])
  assert.deepEqual([answer.authority[0]?.name, answer.authority[0]?.type], ['example.com', TYPE.SOA])
})

test('what was written is read again', () => {
  const { tsig, tsigAt, ...read } = decodeMessage(encodeMessage(update))
  assert.deepEqual([read, tsig, tsigAt], [update, undefined, encodeMessage(update).length])
})

test('a name or a text that does not fit is refused', () => {
  for (const name of ['a..b', '.a', `${'a'.repeat(64)}.b`, Array(64).fill('abcd').join('.')])
    assert.throws(() => encodeName(name), DnsFormatError, name)
  assert.equal(encodeName('').toString('hex'), '00')
  assert.throws(() => encodeText('x'.repeat(256)), DnsFormatError)
})

test('a malformed message is an error that says what is wrong', () => {
  const header = (counts: string): string => `12348400${counts}`
  const question = '0001000000000000'
  for (const [hex, why] of [
    ['', /ends too early/],
    ['1234', /ends too early/],
    [header('ffffffffffffffff'), /more records than bytes/],
    [`${header(question)}c00c00060001`, /does not lead back/],
    [`${header(question)}c0ff00060001`, /does not lead back/],
    [`${header(question)}4161616161000600`, /label of an unknown kind/],
    [`${header(question)}05616100060001`, /ends too early/],
    [`${header(question)}${'3f'.padEnd(128, '61').repeat(4)}0000060001`, /a name is too long/],
    [`${header(question)}000006000100`, /bytes after its last record/],
    [`${header('0000000100000000')}0000100001000000000005aabb`, /ends too early/],
  ] as const)
    assert.throws(
      () => decodeMessage(Buffer.from(hex, 'hex')),
      (error: Error) => error instanceof DnsFormatError && why.test(error.message),
      hex,
    )
})

test('a byte of a label that could be taken for something else is shown by its number', () => {
  const name = Buffer.concat([Buffer.of(4), Buffer.from('a.B\xe9', 'latin1'), Buffer.of(0)]).toString('hex')
  assert.equal(
    decodeMessage(Buffer.from(`123400000001000000000000${name}00060001`, 'hex')).questions[0]?.name,
    'a\\046b\\233',
  )
})

test('no bytes lead to another error than DnsFormatError, or to much work', () => {
  const reads = (bytes: Buffer): void => {
    try {
      tsigOf(decodeMessage(bytes))
    } catch (error) {
      assert(error instanceof DnsFormatError, `${error}`)
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => reads(Buffer.from(bytes))),
    { numRuns: 500 },
  )
  const good = [UPDATE, SOA_ANSWER].map(hex => Buffer.from(hex, 'hex'))
  const changes = fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(fc.constantFrom(...good), changes, fc.nat(200), (bytes, changed, end) => {
      const broken = Buffer.from(bytes)
      for (const [at, byte] of changed) broken[at % broken.length] = byte
      reads(broken)
      reads(broken.subarray(0, end))
    }),
    { numRuns: 1_000 },
  )
})
