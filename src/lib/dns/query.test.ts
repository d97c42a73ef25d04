import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answerTo, notUnderstood, questionOf } from './query.ts'
import { RCODE, TYPE } from './wire-format.ts'

const name = (text: string): Buffer =>
  Buffer.concat([
    ...text.split('.').map(label => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0]),
  ])
const query = (asked: Buffer, { flags = 0x0100, questions = 1, type = 1, more = Buffer.alloc(0) } = {}): Buffer => {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(0xbeef, 0)
  header.writeUInt16BE(flags, 2)
  header.writeUInt16BE(questions, 4)
  return Buffer.concat([header, asked, Buffer.from([type >> 8, type & 0xff, 0, 1]), more])
}

describe('a question of DNS', () => {
  test('is read, in lower case', () => {
    expect(questionOf(query(name('API.Example.com')))).toEqual({
      name: 'api.example.com',
      type: TYPE.A,
      isInternet: true,
      end: 12 + 17 + 4,
    })
    expect(questionOf(query(name('a.b'), { type: 28, more: Buffer.from('0000290000') }))).toMatchObject({ type: 28 })
  })

  test('with bytes that no hostname has is never another name', () => {
    expect(questionOf(query(Buffer.from('\x03a.b\x03com\0', 'latin1')))?.name).toBe('a\\046b.com')
  })

  test.each([
    ['an answer', query(name('a.b'), { flags: 0x8100 })],
    ['an update', query(name('a.b'), { flags: 0x2800 })],
    ['no question', query(name('a.b'), { questions: 0 })],
    ['two questions', query(name('a.b'), { questions: 2 })],
    ['a pointer', query(Buffer.from([0xc0, 12]))],
    ['a pointer to itself after a label', query(Buffer.from([1, 0x61, 0xc0, 12]))],
    ['a pointer into the header after a label', query(Buffer.from([1, 0x61, 0xc0, 2]))],
    ['a name without an end', query(Buffer.from([63, 1]))],
    [
      'a name that is too long',
      query(
        Buffer.concat([...Array(5).fill(Buffer.concat([Buffer.from([60]), Buffer.alloc(60, 97)])), Buffer.from([0])]),
      ),
    ],
    ['a cut one', query(name('a.b')).subarray(0, -1)],
    ['a cut header', Buffer.alloc(11)],
  ])('that is %s is none', (_, message) => {
    expect(questionOf(message)).toBeUndefined()
  })

  test('is answered with its own id and question, and with addresses', () => {
    const asked = query(name('a.b'), { more: Buffer.from('an additional record') })
    const question = questionOf(asked)
    const answer = answerTo(asked, question ?? { name: '', end: 0 }, RCODE.NOERROR, {
      addresses: ['203.0.113.7'],
      ttlSeconds: 60,
    })
    expect(answer.toString('hex')).toBe(
      'beef8180' + '0001000100000000' + '0161016200' + '00010001' + 'c00c000100010000003c0004cb007107',
    )
    expect(answerTo(asked, question ?? { name: '', end: 0 }, RCODE.NXDOMAIN).toString('hex')).toBe(
      `beef8183${'0001000000000000'}${'0161016200'}${'00010001'}`,
    )
  })

  test('that is not understood is told so, but never an answer', () => {
    expect(notUnderstood(query(name('a.b'), { questions: 2 }))?.toString('hex')).toBe('beef81810000000000000000')
    expect(notUnderstood(query(name('a.b'), { flags: 0x2800 }))?.readUInt16BE(2)).toBe(0xa884)
    expect(notUnderstood(query(name('a.b'), { flags: 0x8100 }))).toBeUndefined()
    expect(notUnderstood(Buffer.alloc(3))).toBeUndefined()
  })

  test('whatever it is, makes nothing throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), bytes => {
        const message = Buffer.from(bytes)
        const question = questionOf(message)
        if (question === undefined) notUnderstood(message)
        else expect(answerTo(message, question, RCODE.REFUSED).length).toBe(question.end)
      }),
    )
  })
})
