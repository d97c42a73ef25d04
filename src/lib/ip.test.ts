import { BlockList, isIP, isIPv4 } from 'node:net'
import { assert, integer, ipV4, ipV6, oneof, property } from 'fast-check'
import { expect, test } from 'vitest'
import { clientAt, ipOf, networkOf } from './ip.ts'

for (const [text, wanted] of [
  ['1.2.3.4', '1.2.3.4'],
  ['::ffff:1.2.3.4', '1.2.3.4'],
  ['::FFFF:102:304', '1.2.3.4'],
  ['0:0:0:0:0:ffff:1.2.3.4', '1.2.3.4'],
  ['2001:DB8:0:0::01', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['::', '::'],
  ['::1', '::1'],
  ['::1.2.3.4', '::102:304'],
  ['1.2.3', undefined],
  ['01.2.3.4', undefined],
  ['1.2.3.4:80', undefined],
  ['[::1]', undefined],
  ['unknown', undefined],
  ['', undefined],
] as const)
  test(`"${text}" is ${wanted ?? 'no address'}`, () => expect(ipOf(text)).toBe(wanted))

for (const [address, bits, wanted] of [
  ['10.1.2.3', 8, '10.0.0.0'],
  ['10.255.2.3', 9, '10.128.0.0'],
  ['10.1.2.3', 0, '0.0.0.0'],
  ['10.1.2.3', 31, '10.1.2.2'],
  ['10.1.2.3', 32, '10.1.2.3'],
  ['2001:db8:1:2:3:4:5:6', 64, '2001:db8:1:2::'],
  ['2001:db8:1:2:3:4:5:6', 33, '2001:db8::'],
  ['2001:db8::6', 0, '::'],
  ['2001:db8::6', 128, '2001:db8::6'],
] as const)
  test(`${address} is in ${wanted}/${bits}`, () => expect(networkOf(address, bits)).toBe(wanted))

test('an address is in its network, as Node has it, and the network is its own', async () => {
  await assert(
    property(oneof(ipV4(), ipV6()), integer({ min: 0, max: 128 }), (text, some) => {
      const address = ipOf(text)
      if (address === undefined) throw new Error(`${text} is not read`)
      const bits = isIPv4(address) ? some % 33 : some
      const network = networkOf(address, bits)
      const list = new BlockList()
      const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
      list.addSubnet(network, bits, family)
      return list.check(address, family) && networkOf(network, bits) === network && ipOf(network) === network
    }),
    { numRuns: 2_000 },
  )
})

test('one client is an IPv4 address, or a /64 of IPv6 however its zeros are written', async () => {
  expect(clientAt('1.2.3.4')).toBe('1.2.3.4')
  expect(clientAt('unknown')).toBe('unknown')
  expect(clientAt('2001:db8::1')).toBe(clientAt('2001:db8:0:0:1::'))
  expect(clientAt('::1')).toBe(clientAt('::'))
  await assert(
    property(ipV6(), ipV6(), (one, other) => {
      const [a, b] = [ipOf(one) ?? '', ipOf(other) ?? '']
      if (isIPv4(a) || isIPv4(b)) return true
      const isOne = clientAt(a) === clientAt(b)
      return isOne === (networkOf(a, 64) === networkOf(b, 64)) && clientAt(a) === clientAt(networkOf(a, 64))
    }),
    { numRuns: 2_000 },
  )
})
