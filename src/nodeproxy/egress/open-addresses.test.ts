import { expect, test } from 'vitest'
import { destinationsOf, egress } from '../../model/egress.ts'
import { mayConnect } from './open-addresses.ts'

const OWN = new Set(['203.0.113.1', '10.0.0.1', '127.0.0.1'])
const may = (address: string, port: number, ...list: string[]) =>
  mayConnect(address, port, destinationsOf(list.map(egress)), { frontPorts: [443], own: OWN })

test('a name leads to addresses of the internet, and to none of a private network', () => {
  for (const address of ['203.0.113.7', '8.8.8.8', '192.0.1.1']) expect(may(address, 443), address).toBe(true)
  for (const address of [
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.2',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.8',
    '192.168.1.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
  ])
    expect(may(address, 443), address).toBe(false)
})

test('what the definition opens by its address is reached by a name too, at the same port', () => {
  expect(may('10.1.2.3', 443, 'private')).toBe(true)
  expect(may('10.1.2.3', 443, '10.1.0.0/16:443')).toBe(true)
  expect(may('10.1.2.3', 80, '10.1.0.0/16:443')).toBe(false)
  expect(may('10.2.2.3', 443, '10.1.0.0/16:443')).toBe(false)
  expect(may('169.254.169.254', 80, 'private')).toBe(false)
})

test('this machine is reached at the ports of its front alone, and never by its loopback', () => {
  expect(may('203.0.113.1', 443)).toBe(true)
  expect(may('203.0.113.1', 80)).toBe(false)
  expect(may('10.0.0.1', 80, 'private', 'host')).toBe(false)
  expect(may('127.0.0.1', 443, '127.0.0.0/8', 'host')).toBe(false)
})
