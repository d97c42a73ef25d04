import assert from 'node:assert/strict'
import { test } from 'vitest'
import { type Member, memberHost, peerOf } from './member.ts'

const NODE: Member = { role: 'node', name: 'node-2', id: '0123456789abcdef' }

test('the name in a certificate tells who it belongs to', () => {
  assert.equal(memberHost(NODE), '0123456789abcdef.node-2.node.shadow')
  assert.deepEqual(peerOf(`DNS:${memberHost(NODE)}`), NODE)
  assert.deepEqual(peerOf('DNS:master.shadow'), { role: 'master' })
})

for (const name of [
  undefined,
  '',
  'DNS:node-2.node.shadow',
  'DNS:0123456789abcdef.node-2.master.shadow',
  'DNS:0123456789abcdef.node-2.admin.shadow',
  'DNS:0123456789abcdef.-node.node.shadow',
  'DNS:0123456789abcdef.a.b.node.shadow',
  'DNS:0123456789abcdef.node-2.node.shadow, DNS:master.shadow',
  'DNS:master.shadow, DNS:other',
  'URI:master.shadow',
])
  test(`a certificate for ${name} belongs to nobody of a cluster`, () => assert.equal(peerOf(name), undefined))
