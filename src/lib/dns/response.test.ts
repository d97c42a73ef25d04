import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, test } from 'vitest'
import { readQuery } from './query.ts'
import { addressData, anyData, authorityData, nameServerData, soaData } from './records.ts'
import { type DnsResponse, encodeResponse } from './response.ts'
import { CLASS, type DnsRecord, decodeMessage, encodeMessage, OPCODE, RCODE, TYPE } from './wire-format.ts'

const NOTHING = { isResponse: false, isAuthoritative: false, rcode: 0, answers: [], authority: [], additional: [] }
const opt = (udpBytes: number, ttl = 0, name = ''): DnsRecord => ({
  ...{ name, type: TYPE.OPT, class: udpBytes, ttl, data: Buffer.alloc(0) },
})
const query = (name: string, type: number, additional: readonly DnsRecord[] = [], opcode: number = OPCODE.QUERY) =>
  encodeMessage({ ...NOTHING, id: 0xbeef, opcode, questions: [{ name, type, class: CLASS.IN }], additional })
const record = (name: string, data: Pick<DnsRecord, 'type' | 'data'>): DnsRecord => ({
  ...{ name, class: CLASS.IN, ttl: 30, ...data },
})

function responded(bytes: Buffer, response: DnsResponse, mostBytes?: number): Buffer {
  const read = readQuery(bytes)
  assert('query' in read)
  return encodeResponse(bytes, read.query, response, mostBytes)
}

describe('a response', () => {
  test('has the question as it was written, and each name once', () => {
    const asked = query('www.example.com', TYPE.A)
    asked.write('wWw', 13)
    const answers = [record('www.example.com', addressData('203.0.113.7'))]
    const additional = [record('ns.www.example.com', addressData('2001:db8::1:0:7'))]
    const bytes = responded(asked, { rcode: 0, isAuthoritative: true, answers, additional })
    assert.equal(
      bytes.toString('hex'),
      [
        'beef84000001000100000001',
        '03775777076578616d706c6503636f6d0000010001',
        'c00c000100010000001e0004cb007107',
        '026e73c00c001c00010000001e001020010db8000000000000000100000007',
      ].join(''),
    )
    assert.deepEqual(decodeMessage(bytes).additional, additional)
  })

  test('offers no recursion, and repeats whether it was wished for', () => {
    const asked = query('a.example', TYPE.A)
    asked[2] = 0x01
    assert.equal(responded(asked, { rcode: RCODE.REFUSED }).readUInt16BE(2), 0x8105)
  })

  test('that does not fit loses what is additional first; then it is truncated', () => {
    const asked = query('a.example', TYPE.A, [opt(4_096)])
    const answers = Array.from({ length: 30 }, (_, at) => record('a.example', addressData(`192.0.2.${at}`)))
    const additional = [record('b.example', addressData('192.0.2.1'))]
    const whole = responded(asked, { rcode: 0, answers, additional })
    const less = responded(asked, { rcode: 0, answers, additional }, whole.length - 1)
    assert.deepEqual([decodeMessage(less).answers.length, decodeMessage(less).additional.length], [30, 1])
    assert.equal(less.readUInt16BE(2) & 0x0200, 0)
    const cut = responded(asked, { rcode: 0, answers, additional }, 512)
    assert.equal(cut.readUInt16BE(2) & 0x0200, 0x0200)
    assert.deepEqual([decodeMessage(cut).answers, decodeMessage(cut).additional.length], [[], 1])
  })

  test('is read again as it was written, whatever names it has', () => {
    const label = fc.stringMatching(/^[a-z0-9-]{1,10}$/)
    const name = fc.array(label, { maxLength: 5 }).map(labels => labels.join('.'))
    const records = fc.array(
      fc.tuple(name, name).map(([of, server]) => record(of, nameServerData(server))),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(name, records, records, records, (asked, answers, authority, additional) => {
        const bytes = responded(query(asked, TYPE.NS), { rcode: 0, answers, authority, additional })
        const read = decodeMessage(bytes)
        assert.deepEqual([read.answers, read.authority, read.additional], [answers, authority, additional])
      }),
    )
  })
})

describe('a query', () => {
  const answerOf = (bytes: Buffer): Buffer | undefined => {
    const read = readQuery(bytes)
    return 'query' in read ? assert.fail('it is a query') : read.answer
  }

  test('says by EDNS how large an answer may be, within limits', () => {
    const most = (bytes: Buffer) => {
      const read = readQuery(bytes)
      return 'query' in read ? [read.query.hasEdns, read.query.mostUdpBytes] : read
    }
    assert.deepEqual(most(query('a.b', TYPE.A)), [false, 512])
    assert.deepEqual(most(query('a.b', TYPE.A, [opt(100)])), [true, 512])
    assert.deepEqual(most(query('a.b', TYPE.A, [opt(1_000)])), [true, 1_000])
    assert.deepEqual(most(query('a.b', TYPE.A, [opt(65_535)])), [true, 1_232])
  })

  test('of another version of EDNS gets BADVERS, and one with two OPT records or a named one is malformed', () => {
    const answer = answerOf(query('a.b', TYPE.A, [opt(512, 0x10000)])) ?? assert.fail()
    const [own] = decodeMessage(answer).additional
    assert.deepEqual([answer.readUInt8(3) & 0xf, own?.type, (own?.ttl ?? 0) >>> 24], [0, TYPE.OPT, 1])
    for (const wrong of [query('a.b', TYPE.A, [opt(512), opt(512)]), query('a.b', TYPE.A, [opt(512, 0, 'a')])])
      assert.equal(decodeMessage(answerOf(wrong) ?? assert.fail()).rcode, RCODE.FORMERR)
  })

  test('is told apart from what is none', () => {
    const good = query('a.b', TYPE.A)
    const response = Buffer.from(good)
    response[2] = 0x80
    assert.equal(answerOf(response), undefined)
    assert.equal(answerOf(good.subarray(0, 11)), undefined)
    for (const [bytes, rcode] of [
      [good.subarray(0, -1), RCODE.FORMERR],
      [Buffer.concat([good, Buffer.of(0)]), RCODE.FORMERR],
      [query('a.b', TYPE.SOA, [], OPCODE.UPDATE), RCODE.NOTIMP],
      [query('a.b', TYPE.SOA, [], 4), RCODE.NOTIMP],
      [query('a.b', TYPE.A, [{ ...opt(255), type: TYPE.TSIG }]), RCODE.NOTAUTH],
    ] as const)
      assert.equal((answerOf(bytes) ?? assert.fail()).readUInt8(3), rcode)
  })

  test('of any bytes ends nothing, and no answer to what is none is longer than it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), bytes => {
        const read = readQuery(Buffer.from(bytes))
        assert('query' in read || (read.answer?.length ?? 0) <= bytes.length)
      }),
      { numRuns: 1_000 },
    )
  })
})

test('the data of records are as their RFCs say', () => {
  const hex = ({ data }: { data: Buffer }): string => data.toString('hex')
  assert.equal(hex(addressData('2001:db8::')), '20010db8000000000000000000000000')
  assert.equal(hex(addressData('::1')), '00000000000000000000000000000001')
  assert.equal(hex(addressData('1:2:3:4:5:6:7:8')), '00010002000300040005000600070008')
  assert.equal(addressData('::ffff:192.0.2.1').type, TYPE.A)
  assert.throws(() => addressData('example.com'), /no IP address/)
  assert.equal(
    hex(authorityData('issue', 'letsencrypt.org')),
    '00056973737565 6c657473656e63727970742e6f7267'.replace(' ', ''),
  )
  assert.equal(hex(anyData()), '075246433834383200')
  const times = { serial: 1, refreshSeconds: 2, retrySeconds: 3, expireSeconds: 4, negativeSeconds: 5 }
  assert.equal(
    hex(soaData({ server: 'a', mailbox: 'b', ...times })),
    `016100016200${[1, 2, 3, 4, 5].map(number => `0000000${number}`).join('')}`,
  )
})
