import assert from 'node:assert/strict'
import { test } from 'vitest'
import { candidatesFor, printSubnet, reachedFromHere } from './subnets.ts'

const RESOLVERS = '# made by hand\nnameserver 10.255.255.53\n  nameserver\t192.0.2.1 \nnameserver fe80::1\nsearch a\n'
const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0502000A:01BB 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 20 4 30 10 -1
   2: 0100007F:1F90 0502400A:01BB 06 00000000:00000000 00:00000000 00000000     0        0 0 3 0 20 4 30 10 -1
`
const files: Record<string, string> = { '/etc/resolv.conf': RESOLVERS, '/proc/net/tcp': TCP }

test('no network is made over name servers and peers of the machine, which it may reach by its default route alone', async () => {
  const reached = await reachedFromHere(async path => files[path] ?? '')
  const told = reached.map(printSubnet)
  for (const one of ['10.255.255.53/32', '192.0.2.1/32', '10.0.2.5/32']) assert.ok(told.includes(one), told.join())
  for (const one of ['0.0.0.0/32', '10.64.2.5/32'])
    assert.ok(!told.includes(one), `${one} is no other end of a connection`)
  const left = new Set(candidatesFor('shadow-n1', reached).map(printSubnet))
  assert.ok(!left.has('10.255.192.0/18') && !left.has('10.0.0.0/18'))
  assert.ok(left.size > 0)
})
