import { describe, expect, test } from 'vitest'
import { bucketOf, isOpen, network, rate } from './access.ts'

describe('a network', () => {
  for (const [text, wanted] of [
    ['203.0.113.7', '203.0.113.7'],
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['1.2.3.4/32', '1.2.3.4/32'],
    ['2001:DB8:0::/32', '2001:db8::/32'],
    ['::1', '::1'],
    ['::/0', '::/0'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
  ] as const)
    test(`"${text}" is ${wanted}`, () => expect(network(text)).toBe(wanted))

  for (const [text, why] of [
    ['', 'it is no IP address; write it like 203.0.113.7, 10.0.0.0/8'],
    ['blog.example', 'it is no IP address'],
    ['1.2.3', 'it is no IP address'],
    ['1.2.3.4:80', 'it is no IP address'],
    ['fe80::1%eth0', 'it is no IP address'],
    ['10.0.0.0/33', '"33" is not a number of bits; 0 to 32'],
    ['2001:db8::/129', '"129" is not a number of bits; 0 to 128'],
    ['10.0.0.0/', '"" is not a number of bits'],
    ['10.0.0.0/8/8', '"8/8" is not a number of bits'],
    ['10.0.0.0/-1', '"-1" is not a number of bits'],
    ['10.1.2.3/8', 'the address has bits after the first 8; write 10.0.0.0/8'],
    ['2001:db8::1/32', 'the address has bits after the first 32; write 2001:db8::/32'],
    ['::ffff:0.0.0.0/90', 'is written as IPv4'],
  ] as const)
    test(`cannot be "${text}": ${why}`, () => expect(() => network(text)).toThrow(why))
})

describe('a rate', () => {
  for (const [text, wanted, bucket] of [
    ['100/s', '100/s', { perSecond: 100, burst: 100 }],
    ['600/m', '600/m', { perSecond: 10, burst: 600 }],
    ['1/h', '1/h', { perSecond: 1 / 3600, burst: 1 }],
    ['100/s burst 200', '100/s burst 200', { perSecond: 100, burst: 200 }],
    [' 5 / s  burst  010 ', '5/s burst 10', { perSecond: 5, burst: 10 }],
  ] as const)
    test(`"${text}" is ${wanted}`, () => {
      expect(rate(text)).toBe(wanted)
      expect(bucketOf(rate(text))).toEqual(bucket)
    })

  for (const [text, why] of [
    ['', 'is not a rate; write it like 100/s, 600/m or 100/s burst 200'],
    ['100', 'is not a rate'],
    ['100/d', 'is not a rate'],
    ['10.5/s', 'is not a rate'],
    ['-1/s', 'is not a rate'],
    ['100/s burst', 'is not a rate'],
    ['100/s 200', 'is not a rate'],
    ['0/s', 'lets no request in'],
    ['1/s burst 0', 'lets no request in'],
    ['1000001/s', 'is more than 1000000 requests'],
  ] as const)
    test(`cannot be "${text}": ${why}`, () => expect(() => rate(text)).toThrow(`"${text}" ${why}`))
})

test('rules that say nothing let everybody in', () => {
  expect(isOpen({ allow: [], deny: [] })).toBe(true)
  for (const one of [
    { allow: [network('::1')] },
    { deny: [network('::1')] },
    { rate: rate('1/s') },
    { ratePerClient: rate('1/s') },
  ])
    expect(isOpen({ allow: [], deny: [], ...one })).toBe(false)
})
